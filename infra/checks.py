"""cdk-nag on every synthesis: what is acknowledged, and why. Any other finding fails the synthesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.config import PlatformConfig

#: Why each wildcard (AwsSolutions-IAM5) is what it should be. {name}, {account}, {region} are the environment's.
WILDCARDS: Final = (
    (
        "Objects of this environment's own zones: their keys are made at run time.",
        (
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttCuratedBucket90F6C1E7Arn18D073D7/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttModelsBucket970C6ADAArnC12F88E2/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttPredictionsBucketDFE03166Arn41FEDA2A/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttQuarantineBucket2B128B57Arn88525630/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttRawBucket672A0DBBArnB9DC31D0/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttReportsBucket95FE29A2Arn81EE02E6/*",
        ),
    ),
    (
        "Jobs, models and endpoints of this account: their names carry run ids, made at run time.",
        (
            "Resource::arn:aws:sagemaker:{region}:{account}:endpoint-config/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:endpoint/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:model/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:processing-job/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:training-job/*",
        ),
    ),
    (
        "SageMaker's own log groups and this platform's image repositories.",
        (
            "Resource::arn:aws:ecr:{region}:{account}:repository/passerelle-*",
            "Resource::arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/*",
        ),
    ),
    (
        "Executions of this platform's state machines: their names carry run ids.",
        (
            "Resource::arn:aws:states:{region}:{account}:execution:*",
            (
                "Resource::arn:aws:states:{region}:{account}:execution:passerelle-{name}-serving:ExportsO"
                "utputFnGetAttDeployModelMachine58E08085Name3E8EC660:*"
            ),
        ),
    ),
    (
        "Functions of this environment, whose size their cost depends on: CloudFormation makes their names.",
        ("Resource::arn:aws:lambda:{region}:{account}:function:passerelle-{name}-*",),
    ),
    (
        "Project archives among the CDK's assets: their names are content hashes.",
        ("Resource::arn:aws:s3:::cdk-hnb659fds-assets-{account}-{region}/*",),
    ),
    (
        "The parameters of this environment's projects.",
        ("Resource::arn:aws:ssm:{region}:{account}:parameter/passerelle/{name}/projects/*",),
    ),
    (
        (
            "Actions without a resource: ecr:GetAuthorizationToken, cloudwatch:PutMetricData (conditioned"
            " on the namespace), xray:Put*, log delivery of Step Functions. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/"
        ),
        ("Resource::*",),
    ),
    (
        "CDK's grants on this environment's own key.",
        (
            "Action::kms:GenerateDataKey*",
            "Action::kms:ReEncrypt*",
        ),
    ),
)
RUNTIME: Final = (
    "The runtime is the one that the locked layer is built for; both are raised together. "
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"
)


def add_checks(app: App, config: PlatformConfig) -> None:
    """Add the AwsSolutions rules, and acknowledge what is meant to be so."""
    checks = Validations.of(app)
    checks.add_plugins(AwsSolutionsChecks(app))
    checks.acknowledge(*acknowledgements(config))


def acknowledgements(config: PlatformConfig) -> Iterator[Acknowledgment]:
    """Yield every acknowledged finding with its reason."""
    yield Acknowledgment(id="AwsSolutions-L1", reason=RUNTIME)
    for reason, findings in WILDCARDS:
        for finding in findings:
            exact = finding.format(name=config.name, account=config.account, region=config.region)
            yield Acknowledgment(id=f"AwsSolutions-IAM5[{exact}]", reason=reason)

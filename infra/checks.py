"""cdk-nag on every synthesis: what is acknowledged, and why. Any other finding fails the synthesis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from infra.checks_nist import nist_acknowledgements
from infra.checks_promotion import promotion_acknowledgements
from infra.config import PlatformConfig
from infra.config_parts import Delivery, Tracking
from infra.nag import RECORD, RecordedPack
from infra.projects import ProjectSource, personal_entities

#: Why each wildcard (AwsSolutions-IAM5) is what it should be. {name}, {account}, {region} are the environment's.
WILDCARDS: Final = (
    (
        (
            "Objects of this environment's own zones: their keys are made at run time. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
        ),
        (
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttCuratedBucket90F6C1E7Arn18D073D7/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttCuratedBucket90F6C1E7Arn18D073D7/*/datasets/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttModelsBucket970C6ADAArnC12F88E2/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttPredictionsBucketDFE03166Arn41FEDA2A/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttPredictionsBucketDFE03166Arn41FEDA2A/*/batch/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttQuarantineBucket2B128B57Arn88525630/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttRawBucket672A0DBBArnB9DC31D0/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttReportsBucket95FE29A2Arn81EE02E6/*",
            "Resource::passerelle-{name}-data:ExportsOutputFnGetAttReportsBucket95FE29A2Arn81EE02E6/*/ledger/*",
        ),
    ),
    (
        (
            "Jobs, models and endpoints of this account: their names carry run ids, made at run time. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html"
        ),
        (
            "Resource::arn:aws:sagemaker:{region}:{account}:endpoint-config/passerelle-{name}-*",
            "Resource::arn:aws:sagemaker:{region}:{account}:endpoint/passerelle-{name}-*",
            "Resource::arn:aws:sagemaker:{region}:{account}:hyper-parameter-tuning-job/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:inference-component/passerelle-{name}-*",
            "Resource::arn:aws:sagemaker:{region}:{account}:model/passerelle-{name}-*",
            "Resource::arn:aws:sagemaker:{region}:{account}:processing-job/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:training-job/*",
            "Resource::arn:aws:sagemaker:{region}:{account}:transform-job/*",
        ),
    ),
    (
        (
            "Alarms and scaling of this environment's endpoints: made when a model is deployed; targets are named by "
            "Application Auto Scaling, a condition holds the grant to SageMaker's. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html"
        ),
        (
            "Resource::arn:aws:application-autoscaling:{region}:{account}:scalable-target/*",
            "Resource::arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-endpoint/passerelle-{name}-*",
            "Resource::arn:aws:cloudwatch:{region}:{account}:alarm:TargetTracking-inference-component/passerelle-{name}-*",
            "Resource::arn:aws:cloudwatch:{region}:{account}:alarm:passerelle-{name}-*.*.*",
        ),
    ),
    (
        (
            "SageMaker's own log groups and this platform's image repositories. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html"
        ),
        (
            "Resource::arn:aws:ecr:{region}:{account}:repository/passerelle-*",
            "Resource::arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/*",
        ),
    ),
    (
        (
            "Executions of this platform's state machines: their names carry run ids. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html"
        ),
        (
            "Resource::arn:aws:states:{region}:{account}:execution:*",
            (
                "Resource::arn:aws:states:{region}:{account}:execution:passerelle-{name}-serving:ExportsO"
                "utputFnGetAttDeployModelMachine58E08085Name3E8EC660:*"
            ),
        ),
    ),
    (
        (
            "Functions of this environment, whose size their cost depends on: CloudFormation makes their names. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html"
        ),
        ("Resource::arn:aws:lambda:{region}:{account}:function:passerelle-{name}-*",),
    ),
    (
        (
            "Project archives among the CDK's assets: their names are content hashes. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
        ),
        ("Resource::arn:aws:s3:::cdk-hnb659fds-assets-{account}-{region}/*",),
    ),
    (
        (
            "The parameters of this environment's projects. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html"
        ),
        ("Resource::arn:aws:ssm:{region}:{account}:parameter/passerelle/{name}/projects/*",),
    ),
    (
        (
            "Actions without a resource: ecr:GetAuthorizationToken, cloudwatch:PutMetricData (conditioned"
            " on the namespace), cloudwatch:GetMetricData, xray:Put*, log delivery of Step Functions; lists of"
            " SageMaker, scaling activities and tag:GetResources, by which costs are metered. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/"
        ),
        ("Resource::*",),
    ),
    (
        (
            "CDK's grants on this environment's own key. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awskeymanagementservice.html"
        ),
        (
            "Action::kms:GenerateDataKey*",
            "Action::kms:ReEncrypt*",
        ),
    ),
)
#: On AWS only: what the images, the network and the tracking server bring with them.
TRACKING_WILDCARDS: Final = (
    (
        (
            "Tasks of this environment's own cluster: ECS makes their ids. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html"
        ),
        ("Resource::arn:aws:ecs:{region}:{account}:task/<ClusterEB0386A7>/*",),
    ),
    (
        (
            "Streams of the tracking server's own log group: sessions of people in its tasks are logged there. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html"
        ),
        ("Resource::arn:aws:logs:{region}:{account}:log-group:<Logs6819BB44>:*",),
    ),
    (
        (
            "The tracking server's own prefix of the models zone: clients name their artefacts. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
        ),
        ("Resource::passerelle-{name}-data:ExportsOutputFnGetAttModelsBucket970C6ADAArnC12F88E2/mlflow/*",),
    ),
)
#: Where the environment has EMR Serverless.
SPARK_WILDCARDS: Final = (
    (
        (
            "Job runs of this environment's own application: EMR Serverless makes their ids. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonemrserverless.html"
        ),
        (
            "Resource::<SparkApplicationB8D0239C.Arn>/jobruns/*",
            (
                'Resource::{{"Fn::GetStackOutput":{{"StackName":"passerelle-{name}-pipeline","Region":"{region}",'
                '"OutputName":"PublishOutputFnGetAttSparkApplicationB8D0239CArn304112BB"}}}}/jobruns/*'
            ),
        ),
    ),
    (
        (
            "What Spark's tasks have staged below the prefixes of their runs. "
            "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
        ),
        ("Resource::passerelle-{name}-data:ExportsOutputFnGetAttCuratedBucket90F6C1E7Arn18D073D7/*/staged/*",),
    ),
)
RUNTIME: Final = (
    "The runtime is the one that the locked layer is built for; both are raised together. "
    "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"
)


LAST_QUEUE: Final = (
    "The queue is itself where lost events end, for rules of several stacks; an alarm tells when it is not empty. "
    "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"
)
FLOW_LOGS: Final = (
    "Flow logs cost per GB; this environment is no production, and its security groups let nobody in. "
    "https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs.html"
)
PORT: Final = (
    "The database is in subnets without a route out, and only the server's security group may connect: another port "
    "would hide nothing. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html"
)
ROTATION: Final = (
    "RDS rotates the database's password itself. These are passwords of MLflow's own users, which MLflow must be told: "
    "change the secret, and the next deployment's schema task gives it to MLflow. "
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html"
)
HASH_KEY: Final = (
    "The key hashes personal entities of recorded predictions: another would give the same entity another hash, and "
    "its records could no longer be joined. https://datatracker.ietf.org/doc/html/rfc2104"
)
VARIABLES: Final = (
    "No variable holds a secret: those come from Secrets Manager. "
    "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specifying-sensitive-data-secrets.html"
)
STANDBY: Final = (
    "No production: a restore from backups is enough here, a standby would double the price. "
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZ.html"
)
DISPOSABLE: Final = (
    "This environment is made to be deleted (retain_data: false). "
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_DeleteInstance.html"
)
MONITORING: Final = (
    "Streams of the group to which RDS writes enhanced monitoring: AWS names both. "
    "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.html"
)
INSIGHTS: Final = (
    "Container Insights is paid per metric; outside production the alarms and the task's own health check suffice. "
    "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContainerInsights.html"
)
SNAPSHOT: Final = (
    "Encryption comes from the snapshot, and may not be said beside it: passerelle's are encrypted. "
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbinstance.html"
)


def add_checks(app: App, config: PlatformConfig, projects: Sequence[ProjectSource]) -> None:
    """Add the AwsSolutions and NIST 800-53 rules, and acknowledge what is meant to be so."""
    personal = _of_entities() if personal_entities(projects) else ()
    found = (*personal, *acknowledgements(config), *nist_acknowledgements(config))
    reasons = {item.id: item.reason for item in found}
    output = Path(app.outdir)
    # A record of an earlier synthesis into the same folder is none of this one.
    (output / RECORD).unlink(missing_ok=True)
    Validations.of(app).add_plugins(
        RecordedPack("AwsSolutions", AwsSolutionsChecks(app), reasons, output),
        RecordedPack("NIST.800.53.R5", NIST80053R5Checks(app), reasons, output),
    )


def acknowledgements(config: PlatformConfig) -> Iterator[Acknowledgment]:
    """Yield every acknowledged finding with its reason."""
    yield Acknowledgment(id="AwsSolutions-L1", reason=RUNTIME)
    yield Acknowledgment(id="AwsSolutions-SQS3", reason=LAST_QUEUE)
    tracking, spark = TRACKING_WILDCARDS if config.tracking else (), SPARK_WILDCARDS if config.spark else ()
    for reason, findings in (*WILDCARDS, *tracking, *spark):
        for finding in findings:
            exact = finding.format(name=config.name, account=config.account, region=config.region)
            yield Acknowledgment(id=f"AwsSolutions-IAM5[{exact}]", reason=reason)
    if config.network and not config.network.flow_logs:
        yield Acknowledgment(id="AwsSolutions-VPC7", reason=FLOW_LOGS)
    if config.tracking:
        yield from _of_tracking(config, config.tracking)
    if config.delivery:
        yield from _of_delivery(config, config.delivery)
    yield from promotion_acknowledgements(config)


def _of_entities() -> Iterator[Acknowledgment]:
    for rule in ("AwsSolutions-SMG4", "NIST.800.53.R5-SecretsManagerRotationEnabled"):
        yield Acknowledgment(id=rule, reason=HASH_KEY)


def _of_tracking(config: PlatformConfig, tracking: Tracking) -> Iterator[Acknowledgment]:
    yield Acknowledgment(id="AwsSolutions-RDS11", reason=PORT)
    yield Acknowledgment(id="AwsSolutions-SMG4", reason=ROTATION)
    yield Acknowledgment(id="AwsSolutions-ECS2", reason=VARIABLES)
    if tracking.restore_from_snapshot:
        yield Acknowledgment(id="AwsSolutions-RDS2", reason=SNAPSHOT)
    if not tracking.multi_az:
        yield Acknowledgment(id="AwsSolutions-RDS3", reason=STANDBY)
    if not config.retain_data:
        yield Acknowledgment(id="AwsSolutions-RDS10", reason=DISPOSABLE)
    if config.stage == "production":
        streams = f"Resource::arn:aws:logs:{config.region}:{config.account}:log-group:RDSOSMetrics:log-stream:*"
        yield Acknowledgment(id=f"AwsSolutions-IAM5[{streams}]", reason=MONITORING)
    else:
        yield Acknowledgment(id="AwsSolutions-ECS4", reason=INSIGHTS)


#: Reason -> what GitHub's jobs may reach; the second only where a deployment is tried by dropping data.
TEMPLATES: Final = (
    "Templates of this environment's own stacks: CloudFormation adds an id to a stack's name. "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html"
)
SMOKE_DATA: Final = (
    "The raw folder of the one project that a deployment is tried with. "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html"
)
JOB_LOGS: Final = (
    "Streams of SageMaker's two groups of job logs, named after jobs at run time. "
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html"
)


def _of_delivery(config: PlatformConfig, delivery: Delivery) -> Iterator[Acknowledgment]:
    place = f"{config.region}:{config.account}"
    stacks = f"Resource::arn:aws:cloudformation:{place}:stack/passerelle-{config.name}-*/*"
    yield Acknowledgment(id=f"AwsSolutions-IAM5[{stacks}]", reason=TEMPLATES)
    if delivery.smoke == "drop":
        raw = f"Resource::passerelle-{config.name}-data:ExportsOutputFnGetAttRawBucket672A0DBBArnB9DC31D0"
        yield Acknowledgment(id=f"AwsSolutions-IAM5[{raw}/{delivery.smoke_project}/*]", reason=SMOKE_DATA)
        for group in ("ProcessingJobs", "TrainingJobs"):
            logs = f"Resource::arn:aws:logs:{place}:log-group:/aws/sagemaker/{group}:*"
            yield Acknowledgment(id=f"AwsSolutions-IAM5[{logs}]", reason=JOB_LOGS)

"""The way in for people: a load balancer with HTTPS, where they sign in when an identity provider is given."""

from __future__ import annotations

from aws_cdk import (
    Duration,
    SecretValue,
    aws_certificatemanager,
    aws_ec2,
    aws_ecs,
    aws_s3,
)
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from infra.config import PlatformConfig
from infra.config_parts import Oidc, Tracking
from infra.constructs.alarm import AlertTopic, alarm
from infra.stacks.network import NetworkStack
from passerelle.contracts import tracking as server


class TrackingDoor(Construct):
    """An application load balancer. Idle, it costs 16.43 USD a month in us-east-1.

    Functions do not come this way: a redirect to a sign-in page would break them.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        tracking: Tracking,
        network: NetworkStack,
        service: aws_ecs.FargateService,
        access_logs: aws_s3.IBucket,
        alerts: AlertTopic,
    ) -> None:
        super().__init__(scope, id_)
        assert tracking.certificate_arn
        group = aws_ec2.SecurityGroup(
            self, "Group", vpc=network.vpc, description="The way of people to MLflow", allow_all_outbound=False
        )
        for cidr in tracking.allowed_cidrs:
            group.add_ingress_rule(aws_ec2.Peer.ipv4(cidr), aws_ec2.Port.tcp(443), "Allowed networks")
        if tracking.oidc:
            group.add_egress_rule(aws_ec2.Peer.any_ipv4(), aws_ec2.Port.tcp(443), "Identity provider")
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            internet_facing=tracking.oidc is not None,
            vpc_subnets=aws_ec2.SubnetSelection(subnet_group_name="public" if tracking.oidc else "isolated"),
            security_group=group,
            deletion_protection=config.retain_data,
            drop_invalid_header_fields=True,
        )
        self.balancer.log_access_logs(access_logs, "tracking")
        target = elbv2.ApplicationTargetGroup(
            self,
            "Target",
            vpc=network.vpc,
            port=server.PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            targets=[service],
            # Whether the database answers is asked by the task itself; this only asks whether the task does.
            health_check=elbv2.HealthCheck(path="/health", interval=Duration.seconds(15)),
            deregistration_delay=Duration.seconds(30),
        )
        forward = elbv2.ListenerAction.forward([target])
        self.balancer.add_listener(
            "Https",
            port=443,
            protocol=elbv2.ApplicationProtocol.HTTPS,
            certificates=[
                aws_certificatemanager.Certificate.from_certificate_arn(self, "Certificate", tracking.certificate_arn)
            ],
            ssl_policy=elbv2.SslPolicy.TLS13_RES,
            default_action=_sign_in(tracking.oidc, forward) if tracking.oidc else forward,
            open=False,
        )
        alarm(
            self,
            "Unhealthy",
            target.metrics.unhealthy_host_count(period=Duration.minutes(5)),
            alerts=alerts,
            description="MLflow: a task does not answer for 15 minutes. See its log group and its database.",
            periods=3,
            severity="page",
        )


def _sign_in(oidc: Oidc, then: elbv2.ListenerAction) -> elbv2.ListenerAction:
    return elbv2.ListenerAction.authenticate_oidc(
        issuer=oidc.issuer,
        authorization_endpoint=oidc.authorization_endpoint,
        token_endpoint=oidc.token_endpoint,
        user_info_endpoint=oidc.user_info_endpoint,
        client_id=oidc.client_id,
        client_secret=SecretValue.secrets_manager(oidc.client_secret_name),
        session_timeout=Duration.hours(8),
        next=then,
    )

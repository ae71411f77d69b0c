"""Where private code runs: a VPC with as few ways out as the environment pays for."""

from __future__ import annotations

from typing import Any, Final

from aws_cdk import RemovalPolicy, Stack, aws_ec2, aws_iam, aws_kms, aws_logs
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.config_parts import Network
from infra.constructs.function import retention

#: What Fargate needs to start a task (ECS developer guide, "Amazon ECR interface VPC endpoints"), and what functions
#: in the VPC need beside S3 and DynamoDB.
FARGATE_ENDPOINTS: Final = ("ECR", "ECR_DOCKER", "CLOUDWATCH_LOGS")
FUNCTION_ENDPOINTS: Final = ("SECRETS_MANAGER",)


class NetworkStack(Stack):
    """Subnets without a route to the internet for data, jobs and functions; others only as `egress` says.

    Idle, it costs its interface endpoints or NAT gateways; `public-egress` has one endpoint.
    """

    def __init__(
        self, scope: Construct, id_: str, *, config: PlatformConfig, network: Network, key: aws_kms.IKey, **kwargs: Any
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config, self._network = config, network
        self.vpc = aws_ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=aws_ec2.IpAddresses.cidr(network.cidr),
            availability_zones=self.availability_zones,
            nat_gateways=network.nat_gateways if network.egress == "nat" else 0,
            subnet_configuration=self._subnets(),
            gateway_endpoints={
                "S3": aws_ec2.GatewayVpcEndpointOptions(service=aws_ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": aws_ec2.GatewayVpcEndpointOptions(service=aws_ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
            restrict_default_security_group=False,  # its custom resource would be a function with rights on the VPC
        )
        self.functions = self._group("Functions", "Functions that talk to the tracking server")
        self.jobs = self._group("Jobs", "SageMaker jobs and endpoints: S3 through the gateway, nothing else")
        self.tracking = self._group("Tracking", "MLflow tasks")
        self.database = self._group("Database", "PostgreSQL of the tracking server")
        self._endpoints()
        if network.flow_logs:
            self._flow_logs(key)

    @property
    def availability_zones(self) -> list[str]:
        """The environment's own choice: CDK would ask an account that synthesis must not need."""
        return [f"{self._config.region}{zone}" for zone in self._network.zones]

    @property
    def jobs_vpc(self) -> dict[str, list[str]]:
        """SageMaker's VpcConfig for jobs and models."""
        subnets = self.vpc.select_subnets(subnet_group_name="isolated").subnet_ids
        return {"SecurityGroupIds": [self.jobs.security_group_id], "Subnets": subnets}

    @property
    def task_subnets(self) -> aws_ec2.SubnetSelection:
        """Where containers run that must reach AWS's APIs."""
        kind = {"public-egress": "public", "nat": "private"}.get(self._network.egress, "isolated")
        return aws_ec2.SubnetSelection(subnet_group_name=kind)

    @property
    def isolated_subnets(self) -> aws_ec2.SubnetSelection:
        """Where databases, jobs and functions are."""
        return aws_ec2.SubnetSelection(subnet_group_name="isolated")

    @property
    def tasks_have_public_addresses(self) -> bool:
        return self._network.egress == "public-egress"

    def _subnets(self) -> list[aws_ec2.SubnetConfiguration]:
        mask = {16: 20, 17: 21, 18: 22, 19: 23, 20: 24, 21: 25, 22: 26}[int(self._network.cidr.split("/")[1])]
        kinds = {"isolated": aws_ec2.SubnetType.PRIVATE_ISOLATED}
        tracking = self._config.tracking
        if self._network.egress != "endpoints" or (tracking and tracking.oidc):
            kinds["public"] = aws_ec2.SubnetType.PUBLIC
        if self._network.egress == "nat":
            kinds["private"] = aws_ec2.SubnetType.PRIVATE_WITH_EGRESS
        return [
            aws_ec2.SubnetConfiguration(
                name=name,
                subnet_type=kind,
                cidr_mask=mask,
                **({"map_public_ip_on_launch": False} if name == "public" else {}),
            )
            for name, kind in kinds.items()
        ]

    def _group(self, id_: str, description: str) -> aws_ec2.SecurityGroup:
        return aws_ec2.SecurityGroup(
            self, id_, vpc=self.vpc, description=f"{description}, passerelle {self._config.name}",
            allow_all_outbound=False,
        )  # fmt: skip

    def _endpoints(self) -> None:
        """Let each group reach what it needs, and no more."""
        names = FUNCTION_ENDPOINTS
        if self._network.egress == "endpoints":
            # Without a load balancer people reach the server through Session Manager.
            session = () if self._config.tracking and self._config.tracking.certificate_arn else ("SSM_MESSAGES",)
            names = (*FARGATE_ENDPOINTS, *FUNCTION_ENDPOINTS, *session)
        zones = self.availability_zones[: self._network.endpoint_zones]
        doors = aws_ec2.SecurityGroup(
            self, "Endpoints", vpc=self.vpc, description="Interface endpoints of AWS APIs", allow_all_outbound=False
        )
        for name in names:
            self.vpc.add_interface_endpoint(
                name.title().replace("_", ""),
                service=getattr(aws_ec2.InterfaceVpcEndpointAwsService, name),
                security_groups=[doors],
                open=False,
                subnets=aws_ec2.SubnetSelection(subnet_group_name="isolated", availability_zones=zones),
            )
        https = aws_ec2.Port.tcp(443)
        for group in (self.functions, self.tracking):
            group.add_egress_rule(doors, https, "AWS APIs")
            doors.add_ingress_rule(group, https, "AWS APIs")
        # The gateways are routes: a group must let traffic to S3's and DynamoDB's addresses out. Which these are is
        # known to an account only (managed prefix lists), so the port is the limit, and the missing route the wall.
        for group in (self.functions, self.jobs, self.tracking):
            group.add_egress_rule(aws_ec2.Peer.any_ipv4(), https, "S3 and DynamoDB through their gateways")

    def _flow_logs(self, key: aws_kms.IKey) -> None:
        logs = aws_logs.LogGroup(
            self, "FlowLogs", encryption_key=key, retention=retention(self._config), removal_policy=RemovalPolicy.RETAIN
        )
        role = aws_iam.Role(self, "FlowLogsRole", assumed_by=may.service(self, "vpc-flow-logs"))
        self.vpc.add_flow_log("Flows", destination=aws_ec2.FlowLogDestination.to_cloud_watch_logs(logs, role))

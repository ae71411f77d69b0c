"""MLflow: a Fargate service with PostgreSQL behind it. The database outlives everything else here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import (
    CustomResource,
    Duration,
    Fn,
    RemovalPolicy,
    Stack,
    aws_ec2,
    aws_ecs,
    aws_iam,
    aws_kms,
    aws_lambda,
    aws_logs,
    aws_s3,
    aws_secretsmanager,
    aws_servicediscovery,
    aws_sqs,
)
from constructs import Construct

from infra import permissions as may
from infra.config import PlatformConfig
from infra.config_parts import Tracking
from infra.constructs.alarm import AlertTopic
from infra.constructs.built_image import BuiltImage, DockerImage
from infra.constructs.function import Function, retention
from infra.constructs.tracking_database import TrackingDatabase
from infra.constructs.tracking_door import TrackingDoor
from infra.constructs.working_hours import WorkingHours
from infra.resource_parameters import publish_resources
from infra.stacks.network import NetworkStack
from passerelle.contracts import tracking as server
from passerelle.settings import UpgradeSchemaSettings

#: Where the image keeps RDS's certificates and the settings of MLflow's users.
_IMAGE_ENVIRONMENT: Final = {
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/etc/ssl/rds.pem",
    "MLFLOW_AUTH_CONFIG_PATH": "/app/basic_auth.ini",
}


class TrackingStack(Stack):
    """The tracking server. Its schema is brought up to date before a new version of it rolls."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        tracking: Tracking,
        network: NetworkStack,
        image: BuiltImage | DockerImage,
        artifacts: aws_s3.IBucket,
        access_logs: aws_s3.IBucket,
        key: aws_kms.IKey,
        alerts: AlertTopic,
        layers: Sequence[aws_lambda.ILayerVersion],
        dead_letters: aws_sqs.IQueue,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, termination_protection=config.retain_data, **kwargs)
        # By its ARN: grants then go into roles here, and none into the key's policy in the data stack.
        key = aws_kms.Key.from_key_arn(self, "Key", key.key_arn)
        self._config, self._tracking, self._network, self._key = config, tracking, network, key
        self.database = TrackingDatabase(
            self, "Database", config=config, tracking=tracking, network=network, key=key, alerts=alerts
        )
        self._secrets = {name: self._secret(name) for name in ("AdminPassword", "PipelinePassword", "SessionKey")}
        #: What functions sign in with, as user `pipeline`.
        self.password = self._secrets["PipelinePassword"]
        self._image = aws_ecs.ContainerImage.from_registry(image.uri)
        self._repository = image.repository
        namespace = aws_servicediscovery.PrivateDnsNamespace(
            self, "Namespace", name=f"passerelle-{config.name}.internal", vpc=network.vpc
        )
        self.host = f"mlflow.{namespace.namespace_name}"
        #: How functions reach the server.
        self.uri = f"http://{self.host}:{server.PORT}"
        self.log_group = aws_logs.LogGroup(
            self, "Logs", encryption_key=key, retention=retention(config), removal_policy=RemovalPolicy.DESTROY
        )
        self.cluster = aws_ecs.Cluster(
            self,
            "Cluster",
            vpc=network.vpc,
            # Who opens a shell in a task leaves what was typed in the log.
            execute_command_configuration=aws_ecs.ExecuteCommandConfiguration(
                logging=aws_ecs.ExecuteCommandLogging.OVERRIDE,
                log_configuration=aws_ecs.ExecuteCommandLogConfiguration(cloud_watch_log_group=self.log_group),
            ),
            enable_fargate_capacity_providers=True,
            container_insights_v2=(
                aws_ecs.ContainerInsights.ENABLED
                if config.stage == "production"
                else aws_ecs.ContainerInsights.DISABLED
            ),
        )
        upgrade = self._upgrade_schema(alerts, layers)
        self.service = self._service(artifacts, namespace)
        self.service.node.add_dependency(upgrade)
        network.database.add_ingress_rule(network.tracking, aws_ec2.Port.tcp(5432), "MLflow")
        network.tracking.add_egress_rule(network.database, aws_ec2.Port.tcp(5432), "PostgreSQL")
        network.tracking.add_ingress_rule(network.functions, aws_ec2.Port.tcp(server.PORT), "Functions")
        network.functions.add_egress_rule(network.tracking, aws_ec2.Port.tcp(server.PORT), "MLflow")
        self._publish()
        if tracking.certificate_arn:
            self.door = TrackingDoor(
                self,
                "Door",
                config=config,
                tracking=tracking,
                network=network,
                service=self.service,
                access_logs=access_logs,
                alerts=alerts,
            )
        if tracking.hours:
            WorkingHours(
                self,
                "Hours",
                hours=tracking.hours,
                cluster=self.cluster,
                service=self.service,
                tasks=tracking.tasks,
                database=self.database,
                dead_letters=dead_letters,
                key=key,
            )

    def _publish(self) -> None:
        """Say where things are: `passerelle tracking` finds them by these parameters."""
        found = {
            "tracking-door": f"https://{self._tracking.domain_name}" if self._tracking.domain_name else server.NO_DOOR,
            "tracking-cluster": self.cluster.cluster_name,
            "tracking-service": self.service.service_name,
            "tracking-admin-secret": self._secrets["AdminPassword"].secret_name,
            "tracking-database": self.database.instance.ref,
        }
        publish_resources(self, self._config.name, found)

    def _secret(self, name: str) -> aws_secretsmanager.Secret:
        return aws_secretsmanager.Secret(
            self,
            name,
            encryption_key=self._key,
            generate_secret_string=aws_secretsmanager.SecretStringGenerator(
                password_length=40, exclude_punctuation=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _definition(self, id_: str, *, cpu: int, memory_mib: int) -> aws_ecs.FargateTaskDefinition:
        definition = aws_ecs.FargateTaskDefinition(
            self,
            id_,
            cpu=cpu,
            memory_limit_mib=memory_mib,
            runtime_platform=aws_ecs.RuntimePlatform(
                cpu_architecture=aws_ecs.CpuArchitecture.ARM64,
                operating_system_family=aws_ecs.OperatingSystemFamily.LINUX,
            ),
        )
        # It starts the task: pulls the image, and reads the secrets, which are encrypted with our key.
        self._repository.grant_pull(definition.obtain_execution_role())
        self._key.grant_decrypt(definition.obtain_execution_role())
        return definition

    def _container(
        self,
        definition: aws_ecs.FargateTaskDefinition,
        name: str,
        command: list[str],
        secrets: Sequence[tuple[str, str]],
        **options: Any,
    ) -> aws_ecs.ContainerDefinition:
        """Every container is MLflow's image with the database's address; secrets come as (variable, secret)."""
        address = server.database_environment(host=self.database.host, port=self.database.port, user=self.database.user)
        return definition.add_container(
            name,
            container_name=name,
            image=self._image,
            command=command,
            environment={**server.server_environment(), **_IMAGE_ENVIRONMENT, **address},
            secrets={
                "PGPASSWORD": aws_ecs.Secret.from_secrets_manager(self.database.secret, "password"),
                **{
                    variable: aws_ecs.Secret.from_secrets_manager(self._secrets[secret]) for variable, secret in secrets
                },
            },
            logging=aws_ecs.LogDrivers.aws_logs(stream_prefix=name, log_group=self.log_group),
            readonly_root_filesystem=False,  # MLflow spools uploads to its temporary folder
            **options,
        )

    def _upgrade_schema(self, alerts: AlertTopic, layers: Sequence[aws_lambda.ILayerVersion]) -> CustomResource:
        definition = self._definition("Schema", cpu=256, memory_mib=1_024)
        users = [("MLFLOW_AUTH_ADMIN_PASSWORD", "AdminPassword"), ("PASSERELLE_PIPELINE_PASSWORD", "PipelinePassword")]
        command = ["python", "/app/prepare_store.py", *server.schema_command()]
        self._container(definition, "schema", command, users)
        roles = [definition.task_role.role_arn, definition.obtain_execution_role().role_arn]
        task = f"arn:{self.partition}:ecs:{self.region}:{self.account}:task/{self.cluster.cluster_name}/*"
        function = Function(
            self,
            "UpgradeSchema",
            name="upgrade_schema",
            config=self._config,
            settings=UpgradeSchemaSettings(environment=self._config.name),
            statements=[
                aws_iam.PolicyStatement(actions=["ecs:RunTask"], resources=[definition.task_definition_arn]),
                aws_iam.PolicyStatement(actions=["ecs:DescribeTasks"], resources=[task]),
                aws_iam.PolicyStatement(
                    actions=["iam:PassRole"],
                    resources=roles,
                    conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
                ),
                aws_iam.PolicyStatement(actions=["logs:GetLogEvents"], resources=[f"{self.log_group.log_group_arn}"]),
            ],
            key=self._key,
            alerts=alerts,
            layers=layers,
            timeout_seconds=900,
            memory_mib=256,
            dead_letters=None,
        )
        selected = self._network.vpc.select_subnets(subnet_group_name=self._network.task_subnets.subnet_group_name)
        upgrade = CustomResource(
            self,
            "SchemaUpgrade",
            resource_type="Custom::PasserelleSchemaUpgrade",
            service_token=function.function.function_arn,
            properties={
                "Cluster": self.cluster.cluster_name,
                "TaskDefinition": definition.task_definition_arn,
                "Subnets": selected.subnet_ids,
                "SecurityGroups": [self._network.tracking.security_group_id],
                "PublicAddress": str(self._network.tasks_have_public_addresses).lower(),
                "LogGroup": self.log_group.log_group_name,
                # A new revision of the definition is a new image or a new setting: then it runs again.
                "Token": Fn.select(1, Fn.split("task-definition/", definition.task_definition_arn)),
            },
        )
        upgrade.node.add_dependency(function, self.database)
        return upgrade

    def _service(
        self, artifacts: aws_s3.IBucket, namespace: aws_servicediscovery.PrivateDnsNamespace
    ) -> aws_ecs.FargateService:
        definition = self._definition("Task", cpu=self._tracking.cpu, memory_mib=self._tracking.memory_mib)
        hosts = [f"{self.host}:{server.PORT}", *([self._tracking.domain_name] if self._tracking.domain_name else [])]
        command = server.server_command(
            artifacts_destination=f"s3://{artifacts.bucket_name}/mlflow",
            host="0.0.0.0",  # the task's own network interface; the security group says who may come
            port=server.PORT,
            allowed_hosts=",".join([*hosts, f"127.0.0.1:{server.PORT}"]),
            users=True,
        )
        secrets = [("MLFLOW_FLASK_SERVER_SECRET_KEY", "SessionKey"), ("MLFLOW_AUTH_ADMIN_PASSWORD", "AdminPassword")]
        self._container(
            definition,
            "mlflow",
            command,
            secrets,
            port_mappings=[aws_ecs.PortMapping(container_port=server.PORT)],
            health_check=aws_ecs.HealthCheck(
                command=["CMD", "python", "/app/health.py", f"http://127.0.0.1:{server.PORT}/health"],
                interval=Duration.seconds(30),
                timeout=Duration.seconds(15),
                retries=3,
                start_period=Duration.seconds(120),
            ),
        )
        # Below its own prefix of the models zone, the server may do what clients ask of artefacts.
        definition.task_role.add_to_principal_policy(
            aws_iam.PolicyStatement(
                actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                resources=[artifacts.arn_for_objects("mlflow/*")],
            )
        )
        definition.task_role.add_to_principal_policy(
            aws_iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[artifacts.bucket_arn],
                conditions={"StringLike": {"s3:prefix": ["mlflow", "mlflow/*"]}},
            )
        )
        definition.task_role.add_to_principal_policy(
            may.allow(["kms:Decrypt", "kms:GenerateDataKey"], self._key.key_arn)
        )
        provider = "FARGATE_SPOT" if self._tracking.spot else "FARGATE"
        return aws_ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=definition,
            desired_count=self._tracking.tasks,
            assign_public_ip=self._network.tasks_have_public_addresses,
            vpc_subnets=self._network.task_subnets,
            security_groups=[self._network.tracking],
            capacity_provider_strategies=[aws_ecs.CapacityProviderStrategy(capacity_provider=provider, weight=1)],
            circuit_breaker=aws_ecs.DeploymentCircuitBreaker(rollback=True),
            min_healthy_percent=100,
            max_healthy_percent=200,
            enable_execute_command=True,
            propagate_tags=aws_ecs.PropagatedTagSource.SERVICE,
            cloud_map_options=aws_ecs.CloudMapOptions(
                name="mlflow", cloud_map_namespace=namespace, dns_ttl=Duration.seconds(10)
            ),
        )

"""An A/B test on an endpoint: requests that SageMaker takes, and entities that always meet the same model."""

from __future__ import annotations

import json
from collections import defaultdict

from laptop.sagemaker.validation import validate
from passerelle.contracts.variants import SHADOW_VARIANT, VARIANT
from passerelle.domain.project.experiment import Experiment
from passerelle.domain.requests.experiment import ab_config, target_variant
from tests.contract import sagemaker_requests as make
from tests.contract.sagemaker_endpoints import config, model, serve
from tests.contract.sagemaker_service import Own, own

__all__ = ["own"]
TRIED = Experiment(percent=30, effect=1.0)
CHALLENGER = make.endpoint_config(
    "newer", ProductionVariants=[make.variant(VARIANT, ModelName="newer", InitialInstanceCount=4)]
) | {"Tags": [{"Key": "passerelle:project", "Value": "flights"}], "KmsKeyId": "key"}


def test_both_models_are_production_variants_with_the_weights_of_their_shares() -> None:
    champion = make.variant(VARIANT, ModelName="older", InitialInstanceCount=3) | {"VolumeSizeInGB": 1}
    made = ab_config("e", TRIED, champion, CHALLENGER)
    validate("CreateEndpointConfig", made)
    serving, trying = made["ProductionVariants"]
    assert (serving["ModelName"], serving["InitialInstanceCount"], serving["InitialVariantWeight"]) == ("older", 3, 0.7)
    assert (trying["VariantName"], trying["InitialInstanceCount"], trying["InitialVariantWeight"]) == (
        SHADOW_VARIANT,
        2,
        0.3,
    )
    assert made["KmsKeyId"] == "key"
    assert made["Tags"] == CHALLENGER["Tags"]
    assert (
        made["EndpointConfigName"]
        != ab_config("e", TRIED, serving, CHALLENGER | {"KmsKeyId": "k"})["EndpointConfigName"]
    )


def test_an_entity_meets_one_model_however_often_it_asks_and_the_challenger_stays_when_its_share_grows(
    own: Own,
) -> None:
    for name in ("older", "newer"):
        model(own, name)
    made = ab_config("e", TRIED, make.variant(VARIANT, ModelName="older"), CHALLENGER)
    config(own, "both", *(one | {"InitialInstanceCount": 1} for one in made["ProductionVariants"]))
    serve(own, "both")

    def asked(share: float) -> dict[int, set[str]]:
        met: dict[int, set[str]] = defaultdict(set)
        for customer in range(30):
            for _ in range(2):
                target = target_variant((customer,), "spring", share)
                headers = {"x-amzn-sagemaker-target-variant": target}
                met[customer].add(json.loads(own.sagemaker.invoke_endpoint("e", headers, b"hi").body)["name"])
        return met

    first, later = asked(0.3), asked(0.5)
    assert all(len(models) == 1 for models in (*first.values(), *later.values()))
    newer = {customer for customer, models in first.items() if models == {"newer"}}
    assert 3 <= len(newer) <= 16
    assert newer < {customer for customer, models in later.items() if models == {"newer"}}

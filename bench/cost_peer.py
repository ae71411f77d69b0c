"""aws-iac-cost-estimator's estimate of a template, in its own environment: `python cost_peer.py TEMPLATE REGION`."""

from __future__ import annotations

import json
import sys

from aws_iac_cost_estimator.cloudformation_parser import CloudFormationParser
from aws_iac_cost_estimator.pricing_engine import PricingEngine

if __name__ == "__main__":
    resources, _ = CloudFormationParser(sys.argv[1]).parse()
    print(json.dumps(PricingEngine(region=sys.argv[2]).estimate_costs(resources), default=str))

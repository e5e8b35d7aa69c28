"""What `make deploy-service` changes of a stack, and what it does not.

Usage: python -m unittest discover localstack
"""

import contextlib
import io
import os
import pathlib
import struct
import sys
import tempfile
import unittest
from unittest import mock

import deploy_service
from deploy_service import hash_of

FUNCTION = """
  {id}:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/{name}/
      Environment: {{ Variables: {{ SERVICE_NAME: {service} }} }}
"""
FUNCTIONS = [("OrdersGet", "orders-get"), ("OrdersCreate", "orders-create"), ("UsersGet", "users-get")]
ARM64, X86_64 = 183, 62


class Aws:
    """Lambda with the functions of a stack, and what else a deployment asks."""

    def __init__(self):
        self.code = {f"shop-{name}": "as deployed" for _, name in FUNCTIONS}
        self.aliases, self.groups, self.updated, self.deployments = {}, [], [], []
        self.on_update = lambda: None

    def client(self, _name):
        return self

    def get_paginator(self, operation):
        return mock.Mock(paginate=lambda **_: [getattr(self, operation)()])

    def get_waiter(self, _name):
        return mock.Mock()

    def list_functions(self):
        environment = {"Variables": {"STACK_NAME": "shop"}}
        common = {"Environment": environment, "Architectures": ["arm64"]}
        functions = [{"FunctionName": name, "CodeSha256": code, **common} for name, code in self.code.items()]
        return {"Functions": functions}

    def list_stack_resources(self):
        kind = "AWS::CodeDeploy::DeploymentGroup"
        return {"StackResourceSummaries": [
            {"LogicalResourceId": logical, "PhysicalResourceId": f"physical-{logical}", "ResourceType": kind}
            for logical in self.groups
        ]}

    def list_aliases(self, FunctionName):
        version = self.aliases.get(FunctionName)
        return {"Aliases": [{"Name": "live", "FunctionVersion": version}] if version else []}

    def update_function_code(self, FunctionName, ZipFile, Publish):
        self.code[FunctionName] = hash_of(ZipFile)
        self.updated.append((FunctionName, Publish))
        self.on_update()
        return {"Version": "8"}

    def update_alias(self, FunctionName, Name, FunctionVersion):
        self.aliases[FunctionName] = FunctionVersion

    def create_deployment(self, **deployment):
        self.deployments.append(deployment)
        return {"deploymentId": "d-1"}


class DeployService(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        resources = "".join(
            FUNCTION.format(id=id, name=name, service=name.split("-")[0]) for id, name in FUNCTIONS
        )
        pathlib.Path("template.yaml").write_text(f"Resources:{resources}")
        for _, name in FUNCTIONS:
            self.build(name, ARM64)
        self.aws = Aws()

    def build(self, name, machine):
        binary = pathlib.Path("target/lambda", name, "bootstrap")
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_bytes(struct.pack("<4s14xH", b"\x7fELF", machine) + name.encode())

    def deploy(self, service="orders"):
        """What the deployment says, and what it fails with."""
        said, failure = io.StringIO(), None
        arguments = ["deploy_service.py", "shop", service, "packages"]
        with mock.patch("boto3.client", self.aws.client), mock.patch.object(sys, "argv", arguments):
            with contextlib.redirect_stdout(said):
                try:
                    deploy_service.main()
                except SystemExit as error:
                    failure = str(error)
        return said.getvalue(), failure

    def test_only_the_service_s_changed_functions_are_updated(self):
        self.deploy()
        self.aws.code["shop-orders-create"], self.aws.updated = "an older one", []
        said, failure = self.deploy()
        self.assertIsNone(failure)
        self.assertEqual(self.aws.updated, [("shop-orders-create", False)])
        self.assertEqual(self.aws.code["shop-users-get"], "as deployed")
        self.assertRegex(said, r"orders-create .* changed\n")
        self.assertRegex(said, r"orders-get .* the same\n")

    def test_another_service_s_function_that_changes_meanwhile_is_told_of(self):
        self.aws.on_update = lambda: self.aws.code.update({"shop-users-get": "another"})
        _, failure = self.deploy()
        self.assertIn("shop-users-get", failure)

    def test_a_binary_for_another_machine_stops_it_before_anything_changes(self):
        self.build("orders-get", X86_64)
        _, failure = self.deploy()
        self.assertIn("orders-get is not built for arm64", failure)
        self.assertEqual(self.aws.updated, [])

    def test_a_function_that_is_not_deployed_yet_stops_it_too(self):
        del self.aws.code["shop-orders-get"]
        _, failure = self.deploy()
        self.assertIn("shop-orders-get", failure)
        self.assertEqual(self.aws.updated, [])

    def test_an_alias_that_nothing_rolls_out_moves_to_the_new_version(self):
        self.aws.aliases["shop-orders-create"] = "7"
        self.assertIsNone(self.deploy()[1])
        self.assertIn(("shop-orders-create", True), self.aws.updated)
        self.assertEqual(self.aws.aliases["shop-orders-create"], "8")

    def test_codedeploy_moves_the_alias_of_a_gradual_function(self):
        self.aws.aliases["shop-orders-create"] = "7"
        self.aws.groups = ["ServerlessDeploymentApplication", "OrdersCreateDeploymentGroup"]
        self.assertIsNone(self.deploy()[1])
        self.assertEqual(self.aws.aliases["shop-orders-create"], "7")
        (deployment,) = self.aws.deployments
        self.assertEqual(deployment["deploymentGroupName"], "physical-OrdersCreateDeploymentGroup")
        content = deployment["revision"]["appSpecContent"]["content"]
        self.assertIn('"CurrentVersion": "7", "TargetVersion": "8"', content)


if __name__ == "__main__":
    unittest.main()

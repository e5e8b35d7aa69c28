//! What `template.yaml` says of routes and permissions, without a stack.

#![allow(clippy::unwrap_used)]

use e2e::matrix::table;

/// Every route of the template, as `METHOD /path`.
fn template_routes() -> Vec<String> {
    let template = include_str!("../template.yaml");
    let routes: Vec<_> = template
        .lines()
        .filter_map(|line| line.split_once("Method: ")?.1.split_once(", Path: '"))
        .map(|(method, path)| format!("{method} {}", path.split('\'').next().unwrap()))
        .collect();
    assert_eq!(routes.len(), template.matches("Type: Api\n").count(), "a route is written in another way");
    routes
}

#[test]
fn every_route_of_the_template_is_in_the_table_and_no_other() {
    let mut listed: Vec<_> =
        table(include_str!("../docs/access.md"), "route", 5).iter().map(|row| row["route"].clone()).collect();
    let mut deployed = template_routes();
    listed.sort();
    deployed.sort();
    assert_eq!(listed, deployed);
}

#[test]
fn every_permission_on_a_table_names_the_kinds_of_items_it_is_for() {
    let template = include_str!("../template.yaml");
    let functions = template.split("\n\n").filter(|resource| resource.contains("AWS::Serverless::Function"));
    let mut permissions = 0;
    for function in functions {
        let policies = function.split("\n      Events:").next().unwrap();
        let statements = policies.split("- Effect: ").filter(|statement| statement.starts_with("Allow"));
        for statement in statements.filter(|statement| statement.contains("dynamodb:")) {
            assert!(statement.contains("dynamodb:LeadingKeys: ['"), "{statement}");
            assert!(!statement.contains("'*'"), "{statement}");
            if ["AUDIT#", "OUTBOX#", "INBOX#"].iter().any(|kind| statement.contains(kind))
                && !statement.contains("Action: [dynamodb:Query]")
            {
                assert!(statement.contains("Action: [dynamodb:PutItem]"), "{statement}");
            }
            // What a key is good for is written when it is made and when it is revoked, and never when it is used.
            if statement.contains("'API_KEY#*'") {
                assert!(!statement.contains("UpdateItem"), "{statement}");
            }
            permissions += 1;
        }
    }
    assert!(permissions > 90, "{permissions}");
}

#[test]
fn nothing_is_allowed_on_everything_but_what_has_no_resource_to_name() {
    let template = include_str!("../template.yaml");
    let functions = template.split("\n\n").filter(|resource| resource.contains("AWS::Serverless::Function"));
    let policies = functions.map(|function| function.split("\n      Events:").next().unwrap());
    for statement in policies.flat_map(|policies| policies.split("- Effect: ")) {
        let actions = ["Resource: '*'", "NotResource:"].map(|resource| statement.contains(resource));
        let allowed = match (statement.starts_with("Allow"), actions) {
            (false, _) | (true, [false, false]) => continue,
            (true, [true, _]) => "Action: [lambda:ListFunctions]",
            (true, [false, true]) => "Action: [sns:Publish]",
        };
        assert!(statement.contains(allowed), "{statement}");
    }
    assert!(!template.contains("IfExists"), "a condition on what may be absent is none");
}

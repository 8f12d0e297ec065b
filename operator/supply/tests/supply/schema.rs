use std::time::{Duration, Instant};

use ccos_supply::schema::{Fault, SCHEMA_LIMIT, Schema};
use serde_json::{Value, json};

fn schema(value: &Value) -> Schema {
    Schema::parse(&value.to_string()).unwrap_or_else(|faults| panic!("{value}: {faults:?}"))
}

fn faults(schema: &Schema, document: &Value) -> Vec<(String, String)> {
    schema.faults(document).into_iter().map(|Fault { pointer, message }| (pointer, message)).collect()
}

#[test]
fn what_does_not_fit_is_told_by_pointer_and_without_its_value() {
    let schema = schema(&json!({
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "array", "items": {"$ref": "#/$defs/day"}}},
        "required": ["city"],
        "additionalProperties": false,
        "$defs": {"day": {"type": "integer", "minimum": 1}},
    }));
    assert_eq!(faults(&schema, &json!({"city": "Paris", "days": [1, 2]})), []);
    let told = faults(&schema, &json!({"city": "hunter2", "days": [1, 0, "x"]}));
    let pointers: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/city", "/days/1", "/days/2"], "{told:?}");
    assert!(told.iter().all(|(_, message)| !message.contains("hunter2")), "{told:?}");
    assert_eq!(faults(&schema, &json!({}))[0].0, "");
    assert_eq!(faults(&schema, &json!({"city": "Paris", "town": 1})).len(), 1);
}

#[test]
fn a_schema_that_is_none_is_refused_and_says_where() {
    for (schema, pointer, expected) in [
        (json!({"type": 5}), "/type", ""),
        (json!({"type": "strin"}), "/type", ""),
        (json!({"minimum": "1"}), "/minimum", ""),
        (json!([]), "", "expected a schema"),
        (json!({"properties": {"a": 1}}), "/properties/a", "expected a schema"),
        (json!({"requierd": ["a"]}), "/requierd", "is no keyword"),
        (
            json!({"properties": {"a": {"unevaluatedProperties": false}}}),
            "/properties/a/unevaluatedProperties",
            "additionalProperties",
        ),
        (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema", "2020-12"),
        (json!({"format": "regex"}), "/format", "would be ignored"),
        (json!({"contentEncoding": "base64"}), "/contentEncoding", "would be ignored"),
        (json!({"pattern": "("}), "/pattern", ""),
        // No language that takes more than linear time.
        (json!({"pattern": "(?=a)b"}), "/pattern", ""),
        (json!({"pattern": "(a)\\1"}), "/pattern", ""),
    ] {
        let found = Schema::parse(&schema.to_string()).expect_err(&schema.to_string());
        assert_eq!(found[0].pointer, pointer, "{schema}: {found:?}");
        assert!(found[0].message.contains(expected), "{schema}: {found:?}");
    }
    assert!(Schema::parse("{").unwrap_err()[0].message.starts_with("is no JSON"));
}

#[test]
fn nothing_outside_the_schema_is_read() {
    for target in
        ["https://example.com/s", "file:///etc/passwd", "other.json", "#anchor", "other#/$defs/a", "#/%24defs/a"]
    {
        let found = Schema::parse(&json!({"$defs": {"a": {}}, "$ref": target}).to_string()).expect_err(target);
        assert!(found[0].message.starts_with("expected # and a JSON pointer"), "{found:?}");
    }
    for keyword in ["$id", "$anchor", "$dynamicRef"] {
        Schema::parse(&json!({keyword: "https://example.com/s"}).to_string()).expect_err(keyword);
    }
    // What looks like a schema and is a value.
    let into_a_value = json!({"enum": [{"type": "string"}], "allOf": [{"$ref": "#/enum/0"}]});
    assert!(Schema::parse(&into_a_value.to_string()).unwrap_err()[0].message.contains("is no schema in here"));
}

#[test]
fn a_schema_that_comes_back_to_itself_is_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"properties": {"child": {"$ref": "#"}}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
    ] {
        let found = Schema::parse(&schema.to_string()).expect_err(&schema.to_string());
        assert!(found[0].message.contains("refers to itself"), "{found:?}");
    }
}

#[test]
fn a_schema_without_bounds_is_refused() {
    // Each level doubles the work of the one below.
    let mut definitions = serde_json::Map::from_iter([("0".to_owned(), json!({"type": "string"}))]);
    for level in 1..16 {
        let below = json!({"$ref": format!("#/$defs/{}", level - 1)});
        definitions.insert(level.to_string(), json!({"anyOf": [below, below]}));
    }
    let bomb = json!({"$ref": "#/$defs/15", "$defs": definitions});
    let deep = (0..60).fold(json!({}), |inner, _| json!({"not": inner}));
    let long = json!({"description": "x".repeat(SCHEMA_LIMIT)});
    let patterns: Vec<Value> = (0..65).map(|at| json!({"pattern": format!("a{at}")})).collect();
    for (schema, expected) in [
        (bomb, "more than 10000 subschemas"),
        (deep, "nested deeper"),
        (long, "expected at most 65536"),
        (json!({"allOf": patterns}), "65 patterns"),
        (json!({"pattern": "((a{100}){100}){100}"}), ""),
    ] {
        let started = Instant::now();
        let found = Schema::parse(&schema.to_string()).expect_err(expected);
        assert!(found[0].message.contains(expected), "{found:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{expected}: {:?}", started.elapsed());
    }
}

#[test]
fn a_check_that_would_take_long_is_not_begun_and_one_that_is_begun_is_short() {
    let branches: Vec<Value> = (0..60).map(|at| json!({"type": "object", "required": [format!("a{at}")]})).collect();
    let nested = (0..8).fold(json!({"anyOf": branches}), |inner, _| json!({"anyOf": [inner, {"type": "null"}]}));
    let costly = schema(&json!({"type": "array", "items": nested}));
    let array = |length: usize| Value::Array(vec![json!({}); length]);
    let started = Instant::now();
    let most = faults(&costly, &array(24_000));
    assert!(!most.is_empty() && most.iter().all(|(_, message)| !message.contains("too many")), "{:?}", most.first());
    // Without optimisation, and on a busy machine.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(faults(&costly, &array(85_000))[0].1.contains("are too many for this schema"));

    let pattern = schema(&json!({"pattern": "^(a+)+$"}));
    let started = Instant::now();
    assert_eq!(faults(&pattern, &json!(format!("{}!", "a".repeat(250_000)))).len(), 1);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

/// A pattern of some thousand states is linear, and yet each byte costs what the states are: two dozen of them on a few
/// hundred kilobytes would keep a processor busy for minutes.
#[test]
fn a_large_pattern_weighs_what_it_costs() {
    let large = |count: usize| json!({"allOf": vec![json!({"not": {"pattern": "[a-y]{600}[A-Z]"}}); count]});
    let started = Instant::now();
    let text = json!("a".repeat(20_000));
    match Schema::parse(&large(24).to_string()) {
        Ok(schema) => assert!(faults(&schema, &text)[0].1.contains("are too many for this schema")),
        Err(found) => assert!(found[0].message.contains("all patterns together are too large"), "{found:?}"),
    }
    assert!(faults(&schema(&large(1)), &text)[0].1.contains("are too many for this schema"));
    // As the names of properties, too.
    let names = schema(&json!({"patternProperties": {"[a-y]{600}[A-Z]": false}}));
    assert!(faults(&names, &json!({"a".repeat(20_000): 1}))[0].1.contains("are too many for this schema"));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // The most of what is let through.
    for (count, repeated, bytes) in [(1, 600, 4_800), (2, 250, 4_800), (1, 8, 150_000)] {
        let pattern = json!({"not": {"pattern": format!("(a|b)*[a-y]{{{repeated}}}[A-Z]")}});
        let schema = schema(&json!({"allOf": vec![pattern; count]}));
        let started = Instant::now();
        assert_eq!(faults(&schema, &json!("ab".repeat(bytes / 2))), [], "{repeated}");
        assert!(started.elapsed() < Duration::from_secs(2), "{repeated}: {:?}", started.elapsed());
    }
    // What people write weighs little.
    for usual in ["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "^[^/]{1,63}$", r"^\d{4}-\d{2}-\d{2}$", r"^(\w+\.)+\w{2,8}$"] {
        assert_eq!(faults(&schema(&json!({"not": {"pattern": usual}})), &json!("!/".repeat(5_000))), [], "{usual}");
    }
}

#[test]
fn formats_are_checked_and_not_only_noted() {
    let schema = schema(&json!({"format": "ipv4"}));
    assert_eq!(faults(&schema, &json!("192.0.2.1")), []);
    assert_eq!(faults(&schema, &json!("192.0.2.256")).len(), 1);
}

#[test]
fn the_text_of_a_field_matters_only_where_the_schema_looks_at_it() {
    for (of_field, ignored) in [
        (json!(true), true),
        (json!(false), true),
        (json!({}), true),
        (json!({"type": "string", "description": "a token"}), true),
        (json!({"type": ["string", "null"]}), true),
        (json!({"type": "integer"}), true),
        (json!({"type": "string", "maxLength": 5}), false),
        (json!({"enum": ["a"]}), false),
        (json!({"$ref": "#/$defs/a"}), false),
    ] {
        let text =
            json!({"type": "object", "properties": {"token": of_field}, "required": ["token"], "$defs": {"a": {}}});
        assert_eq!(schema(&text).ignores_text_of("token").is_ok(), ignored, "{text}");
        let others = json!({"type": "object", "additionalProperties": of_field, "$defs": {"a": {}}});
        assert_eq!(schema(&others).ignores_text_of("token").is_ok(), ignored, "{others}");
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        assert!(
            schema(&json!({keyword: [{"properties": {"token": {"const": "x"}}}]})).ignores_text_of("token").is_err()
        );
    }
    assert!(schema(&json!({"const": {"token": "x"}})).ignores_text_of("token").is_err());
    assert!(schema(&json!({"patternProperties": {"tok": {"const": "x"}}})).ignores_text_of("token").is_err());
}

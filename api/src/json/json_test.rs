//! What decoding says of unknown, duplicate and mistyped fields, in upstream's words.

use super::decode::STRUCTS_DEPTH_MAX;
use super::*;
use crate::gvk::GroupVersionKind;
use crate::object::{Map, Object, Value};
use crate::schema::{Schema, TypeId};

fn ty(name: &str) -> TypeId {
    Schema::builtin().by_name(name).unwrap()
}

fn pod(text: &str) -> Result<Decoded, Error> {
    decode(ty("io.k8s.api.core.v1.Pod"), text.as_bytes(), Unknown::Report)
}

fn error(text: &str) -> String {
    pod(text).unwrap_err().to_string()
}

#[test]
fn unknown_and_duplicate_fields_are_told_by_path_in_order() {
    let decoded = pod(
        r#"{"metadata":{"name":"a","labels":{"x":"1","x":"2"}},"spec":{"x":1,"Containers":[],"containers":[{"name":"c","image":"i","image":"j","foo":{}}],"volumes":[{"hostPath":{"path":"/","zz":1}}]},"foo":1}"#,
    )
    .unwrap();
    assert_eq!(
        decoded.problems,
        [
            r#"duplicate field "metadata.labels.x""#,
            r#"unknown field "spec.x""#,
            r#"unknown field "spec.Containers""#,
            r#"duplicate field "spec.containers[0].image""#,
            r#"unknown field "spec.containers[0].foo""#,
            r#"unknown field "spec.volumes[0].hostPath.zz""#,
            r#"unknown field "foo""#,
        ]
    );
    let image = decoded.fields.get("spec").unwrap().at(&["containers"]).unwrap().as_list().unwrap()[0].at(&["image"]);
    assert_eq!(image, Some(&Value::from("j")));
}

#[test]
fn problems_are_bounded_and_told_once() {
    let many: Vec<_> = (0..300).map(|at| format!("\"x{at}\":1,\"x0\":1")).collect();
    assert_eq!(pod(&format!("{{{}}}", many.join(","))).unwrap().problems.len(), PROBLEMS_MAX);
    assert_eq!(pod(r#"{"x":1,"x":2}"#).unwrap().problems, [r#"unknown field "x""#]);
}

#[test]
fn wrong_types_are_told_as_go_tells_them() {
    for (text, said) in [
        (r#"{"spec":{"priority":"high"}}"#, "string into Go struct field PodSpec.spec.priority of type int32"),
        (r#"{"spec":{"priority":1.5}}"#, "number 1.5 into Go struct field PodSpec.spec.priority of type int32"),
        (
            r#"{"spec":{"priority":3000000000}}"#,
            "number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (r#"{"spec":{"containers":{}}}"#, "object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (
            r#"{"spec":{"containers":["a"]}}"#,
            "string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (r#"{"metadata":{"labels":{"a":1}}}"#, "number into Go struct field ObjectMeta.metadata.labels of type string"),
        (r#"{"status":{"phase":[]}}"#, "array into Go struct field PodStatus.status.phase of type v1.PodPhase"),
        (r#"{"metadata":{"uid":true}}"#, "bool into Go struct field ObjectMeta.metadata.uid of type types.UID"),
        (
            r#"{"metadata":{"creationTimestamp":5}}"#,
            "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            r#"{"spec":{"volumes":[{"hostPath":1}]}}"#,
            "number into Go struct field Volume.spec.volumes.VolumeSource.hostPath of type v1.HostPathVolumeSource",
        ),
        ("[]", "array into Go value of type v1.Pod"),
    ] {
        assert_eq!(error(text), format!("json: cannot unmarshal {said}"), "{text}");
    }
}

#[test]
fn a_codecs_complaint_wins_over_an_earlier_wrong_type() {
    let text = r#"{"spec":{"priority":"x","overhead":{"cpu":"1x"}}}"#;
    assert_eq!(
        error(text),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn absent_null_and_zero_are_told_apart_only_where_go_does() {
    let fields = pod(r#"{"spec":{"hostNetwork":false,"nodeName":"","priority":0,"volumes":null,"tolerations":[],"securityContext":{}},"status":{}}"#)
        .unwrap()
        .fields;
    let spec: Map = [
        ("priority", Value::Int(0)),
        ("securityContext", Value::Map(Map::new())),
        ("tolerations", Value::List(Vec::new())),
    ]
    .into_iter()
    .collect();
    assert_eq!(fields, [("spec", spec)].into_iter().collect::<Map>());
}

#[test]
fn free_numbers_keep_integers_apart_from_floats() {
    let fields = decode_free(br#"{"a":1,"b":1.0,"c":1e2,"d":9223372036854775808}"#, Unknown::Report).unwrap().fields;
    let values: Vec<_> = fields.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values, [Value::Int(1), Value::Float(1.0), Value::Float(100.0), Value::Float(9223372036854775808.0)]);
}

#[test]
fn duplicates_of_custom_resources_are_told_by_path() {
    let decoded = decode_free(br#"{"spec":{"color":"a","l":[{"x":1,"x":2}],"color":"b"}}"#, Unknown::Report).unwrap();
    assert_eq!(decoded.problems, [r#"duplicate field "spec.l[0].x""#, r#"duplicate field "spec.color""#]);
}

#[test]
fn schemas_within_values_with_a_codec_are_decoded_but_not_reported_on() {
    let ty = ty("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    let text = br#"{"items":{"type":"string","unknown":1},"additionalProperties":false,"x-kubernetes-foo":1}"#;
    let decoded = decode(ty, text, Unknown::Report).unwrap();
    assert_eq!(decoded.problems, [r#"unknown field "x-kubernetes-foo""#]);
    assert_eq!(decoded.fields.get("items").unwrap().at(&["type"]), Some(&Value::from("string")));
    let error = decode(ty, br#"{"items":{"maxLength":"x"}}"#, Unknown::Report).unwrap_err().to_string();
    assert_eq!(
        error,
        "json: cannot unmarshal string into Go struct field JSONSchemaProps.items.maxLength of type int64"
    );
}

#[test]
fn the_deepest_nesting_that_is_taken_does_not_exhaust_a_worker_threads_stack() {
    let nested =
        |open: &str, depth: usize| format!("{}{{}}{}", open.repeat(depth - 1), "}".repeat(depth - 1)).into_bytes();
    let ty = ty("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    // Half of what tokio gives its workers.
    let worker = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        assert!(decode_free(&nested("{\"a\":", DEPTH_MAX), Unknown::Report).is_ok());
        assert!(decode_free(&nested("{\"a\":", DEPTH_MAX + 1), Unknown::Report).is_err());
        let deepest = nested("{\"a\":", DEPTH_MAX);
        assert!(crate::yaml::from_json(std::str::from_utf8(&deepest).unwrap()).len() > DEPTH_MAX);
        for open in ["{\"not\":", "{\"items\":", "{\"additionalProperties\":"] {
            assert!(decode(ty, &nested(open, STRUCTS_DEPTH_MAX + 1), Unknown::Report).is_err());
            let text = nested(open, STRUCTS_DEPTH_MAX);
            let fields = decode(ty, &text, Unknown::Report).unwrap().fields;
            let mut message = Vec::new();
            crate::protobuf::encode_into(&mut message, ty, &fields);
            let object = Object { kind: GroupVersionKind::of("", "", ""), fields };
            assert_eq!(encode(&object, Some(ty)), text);
            assert_eq!(crate::protobuf::decode(ty, &message).as_ref(), Ok(&object.fields));
        }
    });
    worker.unwrap().join().unwrap();
}

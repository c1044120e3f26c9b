//! Which field labels each kind has, and where their values are in an object.
//!
//! Promises: labels, aliases and the refusal of others are upstream's, version by version. A label's value is text, as
//! upstream makes it of the field; an absent field is what upstream's default makes of it.
//! Source: k8s.io/kubernetes `pkg/apis/*/*/conversion.go` (`AddFieldLabelConversionFunc`), `pkg/registry/*/*/strategy.go`
//! (`…SelectableFields`).

use std::borrow::Cow;

use crate::gvk::GroupVersionKind;
use crate::object::{Map, Value};
use crate::text::quote;

/// A field label of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// As it stands in selectors.
    pub label: &'static str,
    /// Where its value is; of several places the first that is not empty counts.
    pub paths: &'static [&'static [&'static str]],
    /// Its value when no place has one.
    pub absent: &'static str,
}

const fn at(label: &'static str, paths: &'static [&'static [&'static str]]) -> Attribute {
    Attribute { label, paths, absent: "" }
}

const POD: &[Attribute] = &[
    at("spec.nodeName", &[&["spec", "nodeName"]]),
    at("spec.restartPolicy", &[&["spec", "restartPolicy"]]),
    at("spec.schedulerName", &[&["spec", "schedulerName"]]),
    at("spec.serviceAccountName", &[&["spec", "serviceAccountName"]]),
    Attribute { label: "spec.hostNetwork", paths: &[&["spec", "hostNetwork"]], absent: "false" },
    at("status.phase", &[&["status", "phase"]]),
    at("status.podIP", &[&["status", "podIP"]]),
    at("status.podIPs", &[]),
    at("status.nominatedNodeName", &[&["status", "nominatedNodeName"]]),
];
const NODE: &[Attribute] =
    &[Attribute { label: "spec.unschedulable", paths: &[&["spec", "unschedulable"]], absent: "false" }];
const REPLICATION_CONTROLLER: &[Attribute] =
    &[Attribute { label: "status.replicas", paths: &[&["status", "replicas"]], absent: "0" }];
const JOB: &[Attribute] = &[Attribute { label: "status.successful", paths: &[&["status", "succeeded"]], absent: "0" }];
const CORE_EVENT: &[Attribute] = &[
    at("involvedObject.kind", &[&["involvedObject", "kind"]]),
    at("involvedObject.namespace", &[&["involvedObject", "namespace"]]),
    at("involvedObject.name", &[&["involvedObject", "name"]]),
    at("involvedObject.uid", &[&["involvedObject", "uid"]]),
    at("involvedObject.apiVersion", &[&["involvedObject", "apiVersion"]]),
    at("involvedObject.resourceVersion", &[&["involvedObject", "resourceVersion"]]),
    at("involvedObject.fieldPath", &[&["involvedObject", "fieldPath"]]),
    at("reason", &[&["reason"]]),
    at("reportingComponent", &[&["reportingComponent"]]),
    at("source", &[&["source", "component"], &["reportingComponent"]]),
    at("type", &[&["type"]]),
];
const EVENTS_EVENT: &[Attribute] = &[
    at("regarding.kind", &[&["regarding", "kind"]]),
    at("regarding.namespace", &[&["regarding", "namespace"]]),
    at("regarding.name", &[&["regarding", "name"]]),
    at("regarding.uid", &[&["regarding", "uid"]]),
    at("regarding.apiVersion", &[&["regarding", "apiVersion"]]),
    at("regarding.resourceVersion", &[&["regarding", "resourceVersion"]]),
    at("regarding.fieldPath", &[&["regarding", "fieldPath"]]),
    at("reason", &[&["reason"]]),
    at("reportingController", &[&["reportingController"]]),
    at("type", &[&["type"]]),
];
const NAMESPACE: &[Attribute] = &[at("status.phase", &[&["status", "phase"]]), at("name", &[&["metadata", "name"]])];
const SECRET: &[Attribute] = &[at("type", &[&["type"]])];
const SERVICE: &[Attribute] = &[at("spec.clusterIP", &[&["spec", "clusterIP"]]), at("spec.type", &[&["spec", "type"]])];
const SIGNER: &[Attribute] = &[at("spec.signerName", &[&["spec", "signerName"]])];
const POD_CERTIFICATE: &[Attribute] = &[
    at("spec.signerName", &[&["spec", "signerName"]]),
    at("spec.podName", &[&["spec", "podName"]]),
    at("spec.nodeName", &[&["spec", "nodeName"]]),
];
const SLICE: &[Attribute] = &[at("spec.nodeName", &[&["spec", "nodeName"]]), at("spec.driver", &[&["spec", "driver"]])];

/// The kind's labels beside `metadata.name` and `metadata.namespace`; none for most.
pub fn of(kind: &GroupVersionKind) -> &'static [Attribute] {
    match (kind.group.as_ref(), kind.kind.as_ref()) {
        ("", "Pod") => POD,
        ("", "Node") => NODE,
        ("", "ReplicationController") => REPLICATION_CONTROLLER,
        ("", "Event") => CORE_EVENT,
        ("", "Namespace") => NAMESPACE,
        ("", "Secret") => SECRET,
        ("", "Service") => SERVICE,
        ("batch", "Job") => JOB,
        ("events.k8s.io", "Event") => EVENTS_EVENT,
        ("certificates.k8s.io", "CertificateSigningRequest" | "ClusterTrustBundle") => SIGNER,
        ("certificates.k8s.io", "PodCertificateRequest") => POD_CERTIFICATE,
        ("resource.k8s.io", "ResourceSlice") => SLICE,
        _ => &[],
    }
}

/// The label that a selector of a built-in kind means.
///
/// # Errors
/// When the kind has no such label, in upstream's words.
pub fn rename(kind: &GroupVersionKind, label: &str) -> Result<String, String> {
    let own = of(kind);
    let general = matches!(label, "metadata.name" | "metadata.namespace");
    // Kinds with labels of their own list metadata.namespace only where they have namespaces.
    let cluster_wide = matches!(
        kind.kind.as_ref(),
        "Node"
            | "Namespace"
            | "CertificateSigningRequest"
            | "ClusterTrustBundle"
            | "PodCertificateRequest"
            | "ResourceSlice"
    );
    if general && !(label == "metadata.namespace" && !own.is_empty() && cluster_wide)
        || own.iter().any(|each| each.label == label)
    {
        return Ok(label.to_owned());
    }
    match (kind.group.as_ref(), kind.kind.as_ref(), label) {
        ("", "Pod", "spec.host") => Ok("spec.nodeName".to_owned()),
        ("batch", "Job", _) => Err(format!("field label {} not supported for Job", quote(label))),
        ("resource.k8s.io", "ResourceSlice", _) => Err(format!("field label not supported for {kind}: {label}")),
        _ if own.is_empty() => Err(format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            quote(label)
        )),
        _ => Err(format!("field label not supported: {label}")),
    }
}

/// A label's value in an object.
pub fn value<'o>(attribute: &Attribute, fields: &'o Map) -> Cow<'o, str> {
    let mut values = attribute.paths.iter().filter_map(|path| {
        let (first, rest) = path.split_first()?;
        match fields.get(first)?.at(rest)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(Cow::Borrowed(text.as_str())),
            Value::Bool(truth) => Some(Cow::Owned(truth.to_string())),
            Value::Int(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    });
    values.next().unwrap_or(Cow::Borrowed(attribute.absent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn labels_of_other_kinds_are_refused_in_upstreams_words() {
        let said =
            |group: &'static str, kind: &'static str, label| rename(&GroupVersionKind::of(group, "v1", kind), label);
        assert_eq!(said("", "Pod", "spec.host"), Ok("spec.nodeName".to_owned()));
        assert_eq!(said("", "Pod", "spec.x").unwrap_err(), "field label not supported: spec.x");
        assert_eq!(
            said("", "Node", "metadata.namespace").unwrap_err(),
            "field label not supported: metadata.namespace"
        );
        assert_eq!(said("batch", "Job", "x").unwrap_err(), "field label \"x\" not supported for Job");
        assert_eq!(
            said("apps", "Deployment", "spec.x").unwrap_err(),
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }

    #[test]
    fn values_are_text_and_have_upstreams_defaults() {
        let fields = json::decode_free(
            br#"{"spec":{"nodeName":"n","hostNetwork":true},"source":{"component":""},"reportingComponent":"r"}"#,
            json::Unknown::Ignore,
        )
        .unwrap()
        .fields;
        let find = |of: &'static [Attribute], label| *of.iter().find(|each| each.label == label).unwrap();
        assert_eq!(value(&find(POD, "spec.nodeName"), &fields), "n");
        assert_eq!(value(&find(POD, "spec.hostNetwork"), &fields), "true");
        assert_eq!(value(&find(NODE, "spec.unschedulable"), &fields), "false");
        assert_eq!(value(&find(JOB, "status.successful"), &fields), "0");
        assert_eq!(value(&find(CORE_EVENT, "source"), &fields), "r");
    }
}

//! Media types: which form, and which view, of an object a client wants.
//!
//! Promises: clauses of an Accept header are tried as upstream tries them (quality, then the less wild one, then the order in
//! which they stand) and the first that can be served wins; parameters that nobody knows do not matter.
//! Does not: know which views a resource has; the caller says.
//! Source: `munnerz/goautoneg`, apiserver `pkg/endpoints/handlers/negotiation/negotiate.go`.

use crate::body::Form;
use crate::gvk::GroupVersionKind;

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The form.
    pub form: Form,
    /// What the object is turned into: a `Table` or `PartialObjectMetadata`.
    pub view: Option<GroupVersionKind>,
    /// The schema of the stream, as in `watch`; empty when none was asked for.
    pub stream: String,
    /// Whether a person reads it.
    pub pretty: bool,
}

/// A clause of an Accept header.
struct Clause<'h> {
    main: &'h str,
    sub: &'h str,
    quality: f32,
    parameters: Vec<(&'h str, &'h str)>,
}

impl<'h> Clause<'h> {
    fn parse(text: &'h str) -> Option<Clause<'h>> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = match parts.next()?.split_once('/') {
            Some((main, sub)) => (main.trim(), sub.trim()),
            None if text.trim_start().starts_with('*') => ("*", "*"),
            None => return None,
        };
        let mut clause = Clause { main, sub, quality: 1.0, parameters: Vec::new() };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "q" => clause.quality = value.trim().parse().unwrap_or(1.0),
                name => clause.parameters.push((name, value.trim())),
            }
        }
        Some(clause)
    }

    fn takes(&self, form: Form) -> bool {
        let (main, sub) = form.media_type().split_once('/').expect("a media type has two halves");
        match (self.main, self.sub) {
            ("*", "*") => true,
            (wanted, "*") => wanted == main,
            (wanted, wanted_sub) => wanted == main && wanted_sub == sub,
        }
    }

    fn parameter(&self, name: &str) -> Option<&'h str> {
        self.parameters.iter().rev().find(|(each, _)| *each == name).map(|(_, value)| *value)
    }

    fn accepted(&self, form: Form) -> Accepted {
        let word = |name| self.parameter(name).unwrap_or_default().to_owned().into();
        let named = ["as", "g", "v"].iter().any(|name| self.parameter(name).is_some());
        Accepted {
            form,
            view: named.then(|| GroupVersionKind { group: word("g"), version: word("v"), kind: word("as") }),
            stream: self.parameter("stream").unwrap_or_default().to_owned(),
            pretty: self.parameter("pretty") == Some("1"),
        }
    }
}

/// The first of the header's wishes that can be served: in one of the offered forms, of which the first is the default, and
/// in a view that the caller allows.
pub fn negotiate(header: &str, offered: &[Form], allows: impl Fn(&Accepted) -> bool) -> Option<Accepted> {
    let header = if header.trim().is_empty() { "*/*" } else { header };
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(Clause::parse).collect();
    let wild = |clause: &Clause<'_>| (clause.main == "*", clause.sub == "*");
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then_with(|| wild(a).cmp(&wild(b))));
    let wishes = clauses
        .iter()
        .flat_map(|clause| offered.iter().filter(|form| clause.takes(**form)).map(|form| clause.accepted(*form)));
    wishes.into_iter().find(|wish| allows(wish))
}

/// The form of a request's body; nothing said is the default.
pub fn content_type(header: &str, offered: &[Form]) -> Option<Form> {
    match header.split(';').next().map(str::trim).unwrap_or_default() {
        "" => offered.first().copied(),
        wanted => offered.iter().find(|form| form.media_type() == wanted).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Form; 3] = [Form::Json, Form::Yaml, Form::Protobuf];

    fn negotiated(header: &str) -> Option<Accepted> {
        let allows =
            |wish: &Accepted| wish.view.as_ref().is_none_or(|view| view.kind == "Table" && view.version == "v1");
        negotiate(header, &ALL, allows)
    }

    #[test]
    fn the_first_wish_that_can_be_served_wins() {
        let form = |header| negotiated(header).map(|wish| wish.form);
        assert_eq!(form(""), Some(Form::Json));
        assert_eq!(form("*/*"), Some(Form::Json));
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Protobuf));
        assert_eq!(form("application/json;q=0.5, application/yaml"), Some(Form::Yaml));
        assert_eq!(form("application/*, application/yaml"), Some(Form::Yaml));
        assert_eq!(form("text/html, application/*;q=0.1"), Some(Form::Json));
        assert_eq!(form("application/cbor"), None);
    }

    #[test]
    fn kubectl_gets_its_table() {
        let header = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let wish = negotiated(header).unwrap();
        assert_eq!(wish.view, Some(GroupVersionKind::of("meta.k8s.io", "v1", "Table")));
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json;pretty=1";
        assert_eq!(
            negotiated(old),
            Some(Accepted { form: Form::Json, view: None, stream: String::new(), pretty: true })
        );
        assert_eq!(negotiated("application/json;as=Teapot;v=v1;g=meta.k8s.io"), None);
        assert_eq!(negotiated("application/vnd.kubernetes.protobuf;stream=watch").unwrap().stream, "watch");
    }

    #[test]
    fn bodies_say_their_form_or_are_json() {
        assert_eq!(content_type("", &ALL), Some(Form::Json));
        assert_eq!(content_type("application/yaml; charset=utf-8", &ALL), Some(Form::Yaml));
        assert_eq!(content_type("text/plain", &ALL), None);
    }
}

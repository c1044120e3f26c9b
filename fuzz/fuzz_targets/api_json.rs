//! JSON bodies: any bytes are decoded or refused, and what is decoded comes back the same once it has been encoded.

#![no_main]

use fairlead_api::gvk::GroupVersionKind;
use fairlead_api::json::{self, Unknown};
use fairlead_api::object::Object;
use fairlead_api::protobuf;
use fairlead_api::schema::Schema;
use fairlead_api::splice::{Header, Seams};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && json::validate(bytes).is_ok()
    {
        Header::read(text);
        Seams::find(text);
    }
    if json::decode_free(bytes, Unknown::Report).is_err() {
        return;
    }
    for (group, kind) in [("", "Pod"), ("apps", "Deployment"), ("apiextensions.k8s.io", "CustomResourceDefinition")] {
        let kind = GroupVersionKind::of(group, "v1", kind);
        let ty = Schema::builtin().kind(&kind).expect("a kind of the table");
        let Ok(decoded) = json::decode(ty, bytes, Unknown::Report) else { continue };
        let mut object = Object { kind: kind.clone(), fields: decoded.fields };
        object.fields.remove("kind");
        object.fields.remove("apiVersion");
        let once = json::encode(&object, Some(ty));
        let mut again = json::decode(ty, &once, Unknown::Report).expect("what we wrote is JSON of the type").fields;
        again.remove("kind");
        again.remove("apiVersion");
        assert_eq!(json::encode(&Object { kind, fields: again }, Some(ty)), once);
        let mut wire = Vec::new();
        protobuf::encode_into(&mut wire, ty, &object.fields);
        drop(protobuf::decode(ty, &wire));
    }
});

//! Protobuf bodies: any bytes are decoded or refused, and what is decoded comes back the same once it has been encoded.

#![no_main]

use fairlead_api::protobuf::{self, envelope};
use fairlead_api::schema::Schema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(envelope::open(bytes));
    for (group, kind) in [("", "Pod"), ("apps", "Deployment"), ("apiextensions.k8s.io", "CustomResourceDefinition")] {
        let ty = Schema::builtin().find_kind(group, "v1", kind).expect("a kind of the table");
        let Ok(fields) = protobuf::decode(ty, bytes) else { continue };
        let mut once = Vec::new();
        protobuf::encode_into(&mut once, ty, &fields);
        let again = protobuf::decode(ty, &once).expect("what we wrote is a message of the type");
        let mut twice = Vec::new();
        protobuf::encode_into(&mut twice, ty, &again);
        assert_eq!(twice, once);
    }
});

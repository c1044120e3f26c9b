//! Every built-in kind, encoded by upstream's own code (`table/generate/fixtures.go`), goes through ours and comes out as
//! upstream's would: four variants each (empty, full, pointers to zeros, a random half), JSON, protobuf and YAML, each into
//! each. No kind is left out and none is excused.

use std::io::Read as _;

use fairlead_api::gvk::{GroupVersion, GroupVersionKind};
use fairlead_api::json::{self, Unknown};
use fairlead_api::object::Object;
use fairlead_api::protobuf::{self, envelope};
use fairlead_api::schema::{Schema, TypeId};
use fairlead_api::yaml;

/// What upstream makes of one object.
struct Fixture {
    kind: GroupVersionKind,
    variant: String,
    ty: TypeId,
    json: Vec<u8>,
    /// Empty where upstream has no protobuf.
    proto: Vec<u8>,
    yaml: Vec<u8>,
    json_from_json: Vec<u8>,
    proto_from_json: Vec<u8>,
    json_from_proto: Vec<u8>,
    proto_from_proto: Vec<u8>,
    json_from_yaml: Vec<u8>,
}

impl Fixture {
    fn object(&self, fields: fairlead_api::object::Map) -> Object {
        // A WatchEvent says neither version nor kind.
        let says = Schema::builtin().ty(self.ty).field("apiVersion").is_some();
        let kind = if says { self.kind.clone() } else { GroupVersionKind::of("", "", "") };
        Object { kind, fields }
    }

    fn decode_json(&self, bytes: &[u8]) -> Object {
        let decoded = json::decode(self.ty, bytes, Unknown::Report).unwrap_or_else(|error| panic!("{self}: {error}"));
        assert_eq!(decoded.problems, [""; 0], "{self}");
        let mut fields = decoded.fields;
        fields.remove("apiVersion");
        fields.remove("kind");
        self.object(fields)
    }

    fn decode_proto(&self) -> Object {
        let envelope = envelope::open(&self.proto).unwrap_or_else(|error| panic!("{self}: {error}"));
        let fields = protobuf::decode(self.ty, envelope.raw).unwrap_or_else(|error| panic!("{self}: {error}"));
        let object = self.object(fields);
        let said = (envelope.api_version, envelope.kind.as_str(), envelope.content_type.as_str());
        assert_eq!(said, (object.kind.group_version().to_string(), object.kind.kind.as_ref(), ""), "{self}");
        object
    }

    fn same(&self, what: &str, ours: &[u8], upstreams: &[u8]) {
        if ours != upstreams {
            let at = ours.iter().zip(upstreams).take_while(|(a, b)| a == b).count();
            let around = |bytes: &[u8]| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(60)..bytes.len().min(at + 60)]).into_owned()
            };
            panic!("{self}: {what} differs at {at}\n  ours: {:?}\n  upstream's: {:?}", around(ours), around(upstreams));
        }
    }
}

impl std::fmt::Display for Fixture {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} ({})", self.kind, self.variant)
    }
}

fn fixtures() -> Vec<Fixture> {
    let mut plain = Vec::new();
    let packed = &include_bytes!("fixtures/kinds.gz")[..];
    flate2::read::GzDecoder::new(packed).read_to_end(&mut plain).expect("the fixtures are compressed");
    let (mut rest, mut fixtures) = (plain.as_slice(), Vec::new());
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a record has a head");
        let head = std::str::from_utf8(&rest[..end]).expect("a head is text");
        rest = &rest[end + 1..];
        let words: Vec<&str> = head.split(' ').collect();
        let mut part = |at: usize| {
            let (part, after) = rest.split_at(words[at].parse().expect("a length is a number"));
            rest = after;
            part.to_vec()
        };
        let [json, proto, yaml, json_again, proto_from_json, json_from_proto, proto_again, json_from_yaml] =
            [3, 4, 5, 6, 7, 8, 9, 10].map(&mut part);
        let or = |changed: Vec<u8>, same: &[u8]| if changed.is_empty() { same.to_vec() } else { changed };
        let kind = GroupVersion::parse(words[0]).expect("a version").kind(words[1].to_owned());
        fixtures.push(Fixture {
            ty: Schema::builtin().kind(&kind).unwrap_or_else(|| panic!("no type of {kind}")),
            variant: words[2].to_owned(),
            json_from_json: or(json_again, &json),
            proto_from_json: or(proto_from_json, &proto),
            json_from_proto: or(json_from_proto, &json),
            proto_from_proto: or(proto_again, &proto),
            json_from_yaml: or(json_from_yaml, &json),
            kind,
            json,
            proto,
            yaml,
        });
    }
    fixtures
}

#[test]
fn all_kinds_of_the_schema_have_fixtures() {
    let fixtures = fixtures();
    assert_eq!(fixtures.len(), Schema::builtin().kinds().count() * 4);
    for (kind, _) in Schema::builtin().kinds() {
        assert!(fixtures.iter().any(|fixture| fixture.kind.kind == kind.kind), "{kind}");
    }
}

#[test]
fn json_comes_back_as_upstream_writes_it() {
    for fixture in fixtures() {
        let object = fixture.decode_json(&fixture.json);
        fixture.same("JSON out of JSON", &json::encode(&object, Some(fixture.ty)), &fixture.json_from_json);
    }
}

fn with_protobuf() -> impl Iterator<Item = Fixture> {
    fixtures().into_iter().filter(|fixture| {
        let has = Schema::builtin().ty(fixture.ty).protobuf;
        assert_eq!(has, !fixture.proto.is_empty(), "{fixture}");
        has
    })
}

#[test]
fn protobuf_comes_back_as_upstream_writes_it() {
    for fixture in with_protobuf() {
        let sealed = envelope::seal(&fixture.decode_proto(), fixture.ty);
        fixture.same("protobuf out of protobuf", &sealed, &fixture.proto_from_proto);
    }
}

#[test]
fn json_becomes_upstreams_protobuf() {
    for fixture in with_protobuf() {
        let sealed = envelope::seal(&fixture.decode_json(&fixture.json), fixture.ty);
        fixture.same("protobuf out of JSON", &sealed, &fixture.proto_from_json);
    }
}

#[test]
fn protobuf_becomes_upstreams_json() {
    for fixture in with_protobuf() {
        let encoded = json::encode(&fixture.decode_proto(), Some(fixture.ty));
        fixture.same("JSON out of protobuf", &encoded, &fixture.json_from_proto);
    }
}

#[test]
fn json_becomes_upstreams_yaml() {
    for fixture in fixtures() {
        let text = String::from_utf8(fixture.json.clone()).expect("JSON is text");
        fixture.same("YAML out of JSON", &yaml::from_json(&text), &fixture.yaml);
    }
}

#[test]
fn yaml_is_read_as_upstream_reads_it() {
    for fixture in fixtures() {
        let converted = yaml::to_json(&fixture.yaml).unwrap_or_else(|error| panic!("{fixture}: {error}"));
        assert_eq!(converted.duplicates, None, "{fixture}");
        let object = fixture.decode_json(&converted.json);
        fixture.same("JSON out of YAML", &json::encode(&object, Some(fixture.ty)), &fixture.json_from_yaml);
    }
}

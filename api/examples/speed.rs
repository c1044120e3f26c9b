//! How long one pod takes: decoding, encoding, and what a cache does with its bytes. Run with `--release`.

use std::hint::black_box;
use std::time::Instant;

use fairlead_api::gvk::GroupVersionKind;
use fairlead_api::json::{self, Unknown};
use fairlead_api::object::Object;
use fairlead_api::protobuf::{self, envelope};
use fairlead_api::resource_version::ResourceVersion;
use fairlead_api::schema::Schema;
use fairlead_api::selector::attributes;
use fairlead_api::splice::{self, Header, Seams};

const ROUNDS: u32 = 20_000;

fn main() {
    let started = Instant::now();
    let ty = Schema::builtin().find_kind("", "v1", "Pod").expect("the table has pods");
    println!("the table: {} types in {:?}", Schema::builtin().types_len(), started.elapsed());
    let pod = pod();
    let kind = GroupVersionKind::of("", "v1", "Pod");
    let fields = json::decode(ty, pod.as_bytes(), Unknown::Report).expect("a pod").fields;
    let object = Object { kind: kind.clone(), fields };
    let text = String::from_utf8(json::encode(&object, Some(ty))).expect("JSON is text");
    let sealed = envelope::seal(&object, ty);
    println!("a pod: {} bytes of JSON, {} of protobuf", text.len(), sealed.len());
    time("JSON decode, strict", || json::decode(ty, text.as_bytes(), Unknown::Report));
    time("JSON decode without schema", || json::decode_free(text.as_bytes(), Unknown::Report));
    time("JSON encode", || json::encode(&object, Some(ty)));
    let raw = envelope::open(&sealed).expect("an envelope").raw;
    time("protobuf decode", || protobuf::decode(ty, raw));
    time("protobuf encode", || envelope::seal(&object, ty));
    time("header", || Header::read(&text).name.len());
    time("field attributes", || splice::attributes(&text, attributes::of(&kind)));
    let seams = Seams::find(&text).expect("it has metadata");
    time("seams", || Seams::find(&text));
    let version = ResourceVersion::new(12_345).expect("not zero");
    let mut out = Vec::new();
    time("splice", || {
        out.clear();
        seams.write(&mut out, &text, version, false);
        out.len()
    });
}

fn time<T>(what: &str, mut work: impl FnMut() -> T) {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(work());
    }
    println!("{what:28} {:6.2} µs", started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

/// A pod as a Deployment makes it and a node agent has reported on it, of about 4.7 kB.
fn pod() -> String {
    let env: Vec<_> =
        (0..8).map(|at| format!(r#"{{"name":"VARIABLE_{at}","value":"some value of it {at}"}}"#)).collect();
    let managed = r#"{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-11-25T16:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"d5c7c2c5-7d5f-4c7b-8c3a-0d8f3b1f0a11\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}"#;
    let condition = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-11-25T16:00:03Z"}}"#
        )
    };
    let conditions: Vec<_> =
        ["Initialized", "Ready", "ContainersReady", "PodScheduled"].into_iter().map(condition).collect();
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-6d4b75cb6d-hx9kq","generateName":"web-6d4b75cb6d-","namespace":"default","uid":"5f3f8f0a-1c2b-4a8e-9a57-0a6b1f6f4c11","generation":1,"creationTimestamp":"2026-11-25T16:00:00Z","labels":{{"app":"web","pod-template-hash":"6d4b75cb6d"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d4b75cb6d","uid":"d5c7c2c5-7d5f-4c7b-8c3a-0d8f3b1f0a11","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{managed},{managed}]}},"spec":{{"volumes":[{{"name":"kube-api-access-zvw7p","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}}],"containers":[{{"name":"main","image":"registry.example.com/team/web:1.27.3","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],"env":[{}],"resources":{{"limits":{{"cpu":"500m","memory":"256Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"kube-api-access-zvw7p","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/healthz","port":8080,"scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"node-17","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{"phase":"Running","conditions":[{}],"hostIP":"10.0.0.17","podIP":"10.244.3.12","podIPs":[{{"ip":"10.244.3.12"}}],"startTime":"2026-11-25T16:00:01Z","containerStatuses":[{{"name":"main","state":{{"running":{{"startedAt":"2026-11-25T16:00:02Z"}}}},"lastState":{{}},"ready":true,"restartCount":0,"image":"registry.example.com/team/web:1.27.3","imageID":"registry.example.com/team/web@sha256:0c5a4f6f","containerID":"containerd://9b1f","started":true}}],"qosClass":"Burstable"}}}}"#,
        env.join(","),
        conditions.join(",")
    )
}

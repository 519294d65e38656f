//! The description is whole: what the framed protocol can do, gRPC can do.

use nokv_proto::DESCRIPTORS;
use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::BTreeSet;

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).expect("our own")
}

/// Messages of the fields of `Request` or `Response` that are in its oneof.
fn in_envelope(set: &FileDescriptorSet, envelope: &str) -> BTreeSet<String> {
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let envelope = messages
        .clone()
        .find(|message| message.name() == envelope)
        .expect("there is an envelope");
    let fields = envelope.field.iter();
    let fields = fields.filter(|field| field.oneof_index.is_some());
    fields.map(|field| field.type_name().to_owned()).collect()
}

#[test]
fn every_framed_method_is_a_grpc_method() {
    let set = descriptors();
    let services = set.file.iter().flat_map(|file| &file.service);
    let methods: Vec<_> = services.flat_map(|service| &service.method).collect();
    let inputs: BTreeSet<_> = methods.iter().map(|m| m.input_type().to_owned()).collect();
    let outputs: BTreeSet<_> = methods.iter().map(|m| m.output_type().to_owned()).collect();
    let asked = in_envelope(&set, "Request");
    let missing: Vec<_> = asked.difference(&inputs).collect();
    assert!(missing.is_empty(), "no gRPC method takes {missing:?}");
    let mut answered = in_envelope(&set, "Response");
    answered.remove(".nokv.v1.Failure");
    let missing: Vec<_> = answered.difference(&outputs).collect();
    assert!(missing.is_empty(), "no gRPC method answers {missing:?}");
}

#[test]
fn every_message_field_and_method_is_documented() {
    let set = descriptors();
    let ours = set.file.iter().filter(|file| file.package() == "nokv.v1");
    let mut bare = Vec::new();
    for file in ours {
        let info = file.source_code_info.as_ref().expect("comments are kept");
        let is_told = |path: &[i32]| {
            let found = info.location.iter().find(|location| location.path == path);
            found.is_some_and(|location| !location.leading_comments().trim().is_empty())
        };
        for (at, service) in (0..).zip(&file.service) {
            for (method_at, method) in (0..).zip(&service.method) {
                if !is_told(&[6, at, 2, method_at]) {
                    bare.push(format!("{}.{}", service.name(), method.name()));
                }
            }
        }
        for (at, message) in (0..).zip(&file.message_type) {
            let envelope = ["Request", "Response"].contains(&message.name());
            for (field_at, field) in (0..).zip(&message.field) {
                // Alternatives of a oneof may be told once for all.
                let alone = field.oneof_index.is_none() || field.proto3_optional();
                if alone && !envelope && !is_told(&[4, at, 2, field_at]) {
                    bare.push(format!("{}.{}", message.name(), field.name()));
                }
            }
        }
    }
    assert!(bare.is_empty(), "without a comment: {bare:?}");
}

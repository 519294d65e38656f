//! Both forms: round trip, every cut, every flipped byte, other orders of frames.

use crate::items;
use bytes::Bytes;
use nokv_dump::{DumpReader, DumpWriter, Flaw, Form, Head, Item, encode_node};
use nokv_types::Reason;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

fn write(form: Form, head: &Head, items: &[Item]) -> Vec<u8> {
    let mut writer = DumpWriter::new(form, Vec::new(), head).expect("memory");
    for item in items {
        match item {
            Item::Node(node) => writer.node(node),
            Item::Data { offset, bytes } => writer.data(*offset, bytes),
        }
        .expect("memory");
    }
    writer.finish().expect("memory")
}

fn read(bytes: &[u8]) -> Result<(Head, Vec<Item>), Flaw> {
    let (mut reader, head) = DumpReader::new(bytes)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    assert_eq!(reader.read_bytes(), bytes.len() as u64);
    Ok((head, items))
}

const FORMS: [Form; 2] = [Form::Binary, Form::JsonLines];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_comes_back(head in items::head(), items in items::items()) {
        for form in FORMS {
            let written = write(form, &head, &items);
            prop_assert_eq!(read(&written).expect("whole"), (head.clone(), items.clone()));
        }
    }

    #[test]
    fn nodes_that_are_encoded_already_are_the_same(head in items::head(), items in items::items()) {
        let is_node = |item: &Item| matches!(item, Item::Node(_));
        let nodes: Vec<_> = items.into_iter().filter(is_node).collect();
        let mut encoded = Vec::new();
        for node in &nodes {
            if let Item::Node(node) = node {
                encode_node(&mut encoded, node);
            }
        }
        for form in FORMS {
            let mut writer = DumpWriter::new(form, Vec::new(), &head).expect("memory");
            let (encoded, count) = (Bytes::from(encoded.clone()), nodes.len() as u64);
            writer.encoded_nodes(&encoded, count).expect("memory");
            let written = writer.finish().expect("memory");
            prop_assert_eq!(&read(&written).expect("whole").1, &nodes);
        }
    }

    #[test]
    fn every_cut_is_told(head in items::head(), items in items::items()) {
        for form in FORMS {
            let written = write(form, &head, &items);
            for length in 0..written.len() {
                match read(&written[..length]) {
                    Err(Flaw::Truncated { offset }) => prop_assert_eq!(offset, length as u64),
                    other => prop_assert!(false, "{form:?} cut at {length}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_told(
        head in items::head(),
        items in items::items(),
        bit in 0..8_u32,
    ) {
        for form in FORMS {
            let written = write(form, &head, &items);
            for offset in 0..written.len() {
                let mut damaged = written.clone();
                damaged[offset] ^= 1 << bit;
                let flaw = read(&damaged).expect_err("it is damaged");
                let failure = flaw.into_failure("d");
                prop_assert!(
                    matches!(failure.reason(), Reason::Corrupt | Reason::Unsupported),
                    "{form:?}, byte {offset}: {failure}"
                );
                prop_assert!(failure.message().starts_with("d: "), "{failure}");
            }
        }
    }
}

#[test]
fn what_follows_the_end_is_told() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let head = items::head()
        .new_tree(&mut runner)
        .expect("a head")
        .current();
    for form in FORMS {
        let mut written = write(form, &head, &[]);
        written.push(b'\n');
        assert!(
            matches!(read(&written), Err(Flaw::Damaged { .. })),
            "{form:?}"
        );
    }
}

#[test]
fn a_frame_that_is_missing_or_twice_is_told() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let head = items::head()
        .new_tree(&mut runner)
        .expect("a head")
        .current();
    let mut writer = DumpWriter::new(Form::Binary, Vec::new(), &head).expect("memory");
    let empty = Bytes::new();
    for _ in 0..3 {
        writer.encoded_nodes(&empty, 0).expect("memory");
    }
    let written = writer.finish().expect("memory");
    let frames = written.len() - 12 - 2 - 3 * 12;
    let (before, after) = (&written[..frames], &written[frames + 12..]);
    assert!(read(&[before, after].concat()).is_err(), "one is missing");
    let twice = [&written[..frames + 12], &written[frames..]].concat();
    assert!(read(&twice).is_err(), "one is there twice");
}

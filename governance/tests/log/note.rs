//! Notes, checkpoints and cosignatures, against vectors that other implementations and live logs made.

use base64::{Engine, engine::general_purpose::STANDARD};
use governance::SigningKey;
use governance::log::note::Signature;
use governance::log::{
    Algorithm, Checkpoint, CheckpointError, Note, NoteError, NoteKey, SignedCheckpoint, Tree, TreeHash,
};

/// golang.org/x/mod, sumdb/note/note_test.go (BSD-3-Clause).
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

/// A head of the Go checksum database (its signature is the example of c2sp.org/tlog-checkpoint, under another name there).
const SUMDB: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const SUMDB_NOTE: &str = "go.sum database tree
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
";

/// A live log's checkpoint with the lines of several witnesses, one signature of a type that we do not know, and two keys.
const ARCHE: &str = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const REMORA: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
const ARCHE_NOTE: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
";

fn keys(texts: &[&str]) -> Vec<NoteKey> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn signed_by(note: &str, known: &[&str]) -> Result<Vec<String>, NoteError> {
    let keys = keys(known);
    let note = Note::parse(note.as_bytes())?;
    Ok(note.verified(&keys)?.iter().map(|by| by.key.name().into()).collect())
}

/// Go writes a private key as its seed behind the type byte.
fn peter() -> SigningKey {
    // Base64 may hold a plus sign as well.
    let encoded = PETER_SECRET.splitn(5, '+').nth(4).unwrap();
    let seed = STANDARD.decode(encoded).unwrap();
    SigningKey::from_seed(&seed[1..].try_into().unwrap()).unwrap()
}

#[test]
fn a_note_is_signed_as_go_signs_it() {
    let signature = Signature::sign("PeterNeumann", &peter(), TEXT).unwrap();
    assert_eq!(format!("{signature}\n"), PETER_LINE);
    let note = Note::signed(TEXT.into(), signature).unwrap();
    assert_eq!(note.to_string(), format!("{TEXT}\n{PETER_LINE}"));
    assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
    let key = NoteKey::new("PeterNeumann", Algorithm::Ed25519, peter().public()).unwrap();
    assert_eq!(key.to_string(), PETER);
}

#[test]
fn a_note_is_opened_with_the_keys_one_knows() {
    let note = format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}");
    assert_eq!(signed_by(&note, &[PETER]).unwrap(), ["PeterNeumann"]);
    assert_eq!(
        signed_by(&note, &[ENOCH, PETER]).unwrap(),
        ["PeterNeumann", "EnochRoot"]
    );
    assert_eq!(signed_by(&note, &[]).unwrap(), [""; 0]);
    // A second line by one key is not read, whatever it says.
    let again = format!("{note}{}ABCD{}", &PETER_LINE[..60], &PETER_LINE[60..]);
    assert_eq!(signed_by(&again, &[PETER]).unwrap(), ["PeterNeumann"]);
}

#[test]
fn a_known_keys_bad_signature_spoils_the_note() {
    let bad = format!("{TEXT}\n{}ABCD{}", &PETER_LINE[..60], &PETER_LINE[60..]);
    let spoilt = NoteError::Signature("PeterNeumann+c74f20a3".into());
    assert_eq!(signed_by(&bad, &[PETER]), Err(spoilt.clone()));
    assert_eq!(signed_by(&bad, &[ENOCH]).unwrap(), [""; 0]);
    let other_text = format!("Trust me.\n\n{PETER_LINE}");
    assert_eq!(signed_by(&other_text, &[PETER]), Err(spoilt));
}

#[test]
fn a_malformed_note_is_not_read() {
    let line = PETER_LINE;
    let malformed = [
        TEXT.into(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{}", line.trim_end()),
        format!("\x01{TEXT}\n{line}"),
        format!("{TEXT}\n{}", line.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{}", line.replace("PeterNeumann", "Bad+Name")),
        format!("{TEXT}\n{line}Unexpected line.\n"),
        format!("{TEXT}\n{}", line.replace('—', "-")),
        format!("{TEXT}\n— PeterNeumann x08gow==\n"),
        format!("{TEXT}\n{}", line.repeat(101)),
    ];
    for note in malformed {
        assert!(Note::parse(note.as_bytes()).is_err(), "{note}");
    }
    let not_text = [&b"\xff"[..], TEXT.as_bytes(), b"\n", line.as_bytes()].concat();
    assert_eq!(Note::parse(&not_text), Err(NoteError::Malformed("it is not UTF-8")));
    let second = format!("{TEXT}\n{line}Unexpected line.\n");
    assert_eq!(Note::parse(second.as_bytes()), Err(NoteError::Line { line: 2 }));
    assert!(Note::parse(format!("{TEXT}\n{}", line.repeat(100)).as_bytes()).is_ok());
}

#[test]
fn a_verifier_key_has_one_spelling() {
    for text in [PETER, ENOCH, SUMDB, ARCHE, REMORA] {
        assert_eq!(text.parse::<NoteKey>().unwrap().to_string(), text);
    }
    // As in Go's test: no part of a key is a key, and no neighbour of it.
    for start in 0..=PETER.len() {
        for end in start..=PETER.len() {
            let part = &PETER[start..end];
            assert_eq!(part.parse::<NoteKey>().is_ok(), part == PETER, "{part}");
        }
    }
    for at in 0..PETER.len() {
        let mut bytes = PETER.as_bytes().to_vec();
        bytes[at] += 1;
        let neighbour = String::from_utf8(bytes).unwrap();
        assert!(neighbour.parse::<NoteKey>().is_err(), "{neighbour}");
    }
    let wrong_length = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    let unknown_type = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    for key in [wrong_length, unknown_type] {
        assert_eq!(key.parse::<NoteKey>(), Err(NoteError::Key(key.into())));
    }
}

#[test]
fn live_checkpoints_and_a_live_witness_verify() {
    assert_eq!(signed_by(SUMDB_NOTE, &[SUMDB]).unwrap(), ["sum.golang.org"]);
    let log: NoteKey = ARCHE.parse().unwrap();
    let checkpoint = SignedCheckpoint::open(ARCHE_NOTE.as_bytes(), &log).unwrap();
    assert_eq!(checkpoint.checkpoint().size, 1_432_088_532);
    assert_eq!(checkpoint.to_string(), ARCHE_NOTE);
    let witness = keys(&[REMORA]);
    let cosigned = checkpoint.note().verified(&witness).unwrap();
    assert_eq!(
        cosigned.iter().map(|by| by.at_s).collect::<Vec<_>>(),
        [Some(1_779_573_024)]
    );
    for (from, to) in [("1432088532", "1432088533"), ("U7WM", "V7WM")] {
        let changed = ARCHE_NOTE.replace(from, to);
        assert!(matches!(signed_by(&changed, &[ARCHE]), Err(NoteError::Signature(_))));
        assert!(matches!(signed_by(&changed, &[REMORA]), Err(NoteError::Signature(_))));
    }
    // The time is signed as well.
    let later = ARCHE_NOTE.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEh");
    assert!(matches!(signed_by(&later, &[REMORA]), Err(NoteError::Signature(_))));
}

#[test]
fn a_cosignature_is_not_a_log_signature() {
    let key = peter();
    let cosigned = Note::signed(TEXT.into(), Signature::cosign("PeterNeumann", &key, TEXT, 7).unwrap()).unwrap();
    let witness = NoteKey::new("PeterNeumann", Algorithm::CosignatureV1, key.public()).unwrap();
    let witness = witness.to_string();
    assert_eq!(signed_by(&cosigned.to_string(), &[&witness]).unwrap(), ["PeterNeumann"]);
    // The same key and name, the other type: another key id, so an unknown key.
    assert_eq!(signed_by(&cosigned.to_string(), &[PETER]).unwrap(), [""; 0]);
    let past_the_end = Signature::cosign("PeterNeumann", &key, TEXT, 1 << 63);
    assert_eq!(past_the_end, Err(NoteError::Time(1 << 63)));
}

#[test]
fn a_cosignature_that_does_not_verify_stays_out_and_a_newer_one_takes_the_place() {
    let key = peter();
    let witness = NoteKey::new("w", Algorithm::CosignatureV1, key.public()).unwrap();
    let mut note = Note::signed(TEXT.into(), Signature::sign("log", &key, TEXT).unwrap()).unwrap();
    let cosign = |text, at_s| Signature::cosign("w", &key, text, at_s).unwrap();
    let bad = note.attach(cosign("another text\n", 1), &witness);
    assert!(matches!(bad, Err(NoteError::Signature(_))));
    let of_another = note.attach(Signature::sign("w", &key, TEXT).unwrap(), &witness);
    assert_eq!(of_another, Err(NoteError::Unsigned(witness.to_string())));
    note.attach(cosign(TEXT, 1), &witness).unwrap();
    note.attach(cosign(TEXT, 2), &witness).unwrap();
    let known = [witness];
    let times: Vec<_> = note.verified(&known).unwrap().iter().map(|by| by.at_s).collect();
    assert_eq!(times, [Some(2)]);
    assert_eq!(note.to_string().matches('—').count(), 2);
}

#[test]
fn a_checkpoint_has_one_spelling_and_is_taken_from_its_own_log_only() {
    let key = peter();
    let log = NoteKey::new("heart.example/log", Algorithm::Ed25519, key.public()).unwrap();
    let open = |text: &str, name: &str| {
        let note = Note::signed(text.into(), Signature::sign(name, &key, text).unwrap()).unwrap();
        SignedCheckpoint::open(note.to_string().as_bytes(), &log)
    };
    let mut tree = Tree::default();
    tree.append(b"first");
    let good = Checkpoint {
        origin: "heart.example/log".into(),
        size: 1,
        root: tree.root(),
    };
    let text = good.to_string();
    assert_eq!(open(&text, "heart.example/log").unwrap().checkpoint(), &good);
    assert_eq!(
        good.sign(&key).unwrap().to_string(),
        open(&text, "heart.example/log").unwrap().to_string()
    );
    let unsigned = open(&text, "other.example/log");
    assert_eq!(unsigned, Err(NoteError::Unsigned(log.to_string()).into()));
    let other = open(&text.replace("heart", "other"), "heart.example/log");
    assert!(matches!(other, Err(CheckpointError::Origin { .. })), "{other:?}");
    let malformed = [
        text.replace("\n1\n", "\n01\n"),
        text.replace("\n1\n", "\n+1\n"),
        text.replace("\n1\n", "\n-1\n"),
        text.replace("\n1\n", "\n9223372036854775808\n"),
        text.replace("\n1\n", "\nfive\n"),
        format!("{text}an extension line\n"),
        text.replace("=\n", "\n"),
        "\n1\n".into(),
    ];
    for text in malformed {
        let opened = open(&text, "heart.example/log");
        assert!(
            matches!(opened, Err(CheckpointError::Malformed(_))),
            "{text}: {opened:?}"
        );
    }
    let emptied = open(&text.replace("\n1\n", "\n0\n"), "heart.example/log");
    assert_eq!(emptied, Err(CheckpointError::Empty(good.root)));
    let root = TreeHash::empty();
    assert!(Checkpoint { size: 0, root, ..good }.sign(&key).is_ok());
}

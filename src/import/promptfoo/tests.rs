//! What a configuration becomes where promptfoo's own reader does something that is easily missed.

use super::import;
use std::collections::BTreeMap;
use std::path::Path;

/// What was written, by name, and what is listed, a line each.
fn brought(files: &[(&str, &str)]) -> (BTreeMap<String, String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("m.yaml", "otherwise: hi\n");
    for (name, text) in files {
        write(name, text);
    }
    let (out, model) = (dir.path().join("out"), dir.path().join("m.yaml"));
    let imported = import(&dir.path().join("c.yaml"), model.to_str(), &out)
        .unwrap_or_else(|problems| panic!("{:?}", problems.iter().map(ToString::to_string).collect::<Vec<_>>()));
    let listed = imported.listed.iter().map(|one| format!("{one} @{}\n", one.place.line)).collect();
    let mut written = BTreeMap::new();
    for folder in ["", "cases", "prompts"] {
        for entry in std::fs::read_dir(out.join(folder)).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let name = Path::new(folder).join(entry.file_name()).display().to_string();
            written.insert(name, std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    (written, listed)
}

#[test]
fn variables_in_variables_are_rendered_to_the_end_and_the_environment_is_named() {
    let config = "prompts: ['{{ a }}{{ e }}']\nproviders: [x]\ntests:\n\
                  - vars: {a: 'a{{ b }}', b: 'b{{ c }}', c: 'c{{ d }}', d: end, e: '{{ env.HOME }}', f: '{{ f }}'}\n";
    let (written, listed) = brought(&[("c.yaml", config)]);
    assert!(written["cases/c.jsonl"].contains(r#""a":"abcend""#), "{written:?}");
    let wanted = "variable `e` is not quite the same: its template is kept as text: it reads `env`, and a suite reads no \
                  environment @4";
    assert!(listed.contains(wanted), "{listed}");
}

#[test]
fn a_chat_that_its_template_draws_is_a_chat() {
    let chat = r#"[{"role": "system", "content": {{ sys | dump }}},
                   {% for m in history %}{"role": "{{ m.role }}", "content": {{ m.content | dump }}},{% endfor %}
                   {"role": "user", "content": {{ q | dump }}}]"#;
    let history = "history: [{role: user, content: Hi}, {role: assistant, content: Yes?}]";
    let config = |second: &str| {
        format!(
            "prompts: [file://chat.json, '[INST] {{{{ q }}}}']\nproviders: [x]\ndefaultTest: {{vars: {{sys: Be \"terse\"., {history}}}}}\n\
             tests: [{{vars: {{q: \"1\\n2\"}}}}, {{vars: {{q: '3'{second}}}}}]\n"
        )
    };
    let (written, listed) = brought(&[("c.yaml", &config("")), ("chat.json", chat)]);
    insta::assert_snapshot!(written["prompts/chat.yaml"], @r#"
    - system: Be "terse".
    - user: Hi
    - assistant: Yes?
    - user: '{{ chat_message_4 }}'
    "#);
    assert!(written["cases/c.jsonl"].contains(r#""chat_message_4":"1\n2""#), "{written:?}");
    assert_eq!(written["prompts/inst_q.txt"], "[INST] {{ q }}\n");
    assert!(!listed.contains("prompt `"), "{listed}");
    let (_, listed) = brought(&[("c.yaml", &config(", history: []")), ("chat.json", chat)]);
    let why = "prompt `chat` is left out: its template makes chats of other roles for other tests";
    assert!(listed.contains(why), "{listed}");
}

#[test]
fn a_provider_that_is_asked_nothing_is_named_and_a_name_is_no_ending() {
    let config = "prompts: [{label: zb, raw: 'Sing b'}, {label: a, raw: 'Say a'}]\ntests: [{vars: {q: x}}]\nproviders:\n\
                  - {id: m.gguf, label: one, prompts: [a]}\n- {id: m.gguf, label: two, prompts: [b]}\n";
    let (written, listed) = brought(&[("c.yaml", config), ("m.gguf", "")]);
    assert!(written["c.yaml"].contains("name: a-one") && !written["c.yaml"].contains("zb"), "{written:?}");
    assert!(listed.contains("provider `two` is left out: none of its prompts is here: b @5"), "{listed}");
}

#[test]
fn a_scenario_keeps_what_its_tests_want_and_its_other_keys_are_named() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\n\
                  defaultTest: {assert: [{type: contains, value: inherited}]}\nscenarios:\n\
                  - description: s\n  repeat: 3\n  config: [{vars: {q: a}, assert: [{type: icontains, value: shared}]}]\n  \
                  tests: [{options: {disableDefaultAsserts: true}}, {description: '1'}]\n";
    let (written, listed) = brought(&[("c.yaml", config)]);
    let suites: Vec<&String> =
        written.iter().filter(|(name, _)| name.starts_with("c_")).map(|(_, text)| text).collect();
    assert_eq!(suites.iter().filter(|suite| suite.contains("value: inherited")).count(), 1, "{written:?}");
    assert_eq!(suites.iter().filter(|suite| suite.contains("value: shared")).count(), 2, "{written:?}");
    assert!(written.values().any(|text| text.contains(r#""id":"1_2""#)), "the second is called 1: {written:?}");
    assert!(listed.contains("`repeat` of a scenario is left out: Tripos has nothing like it @6"), "{listed}");
}

#[test]
fn weights_numbers_and_lists_of_metadata_are_what_promptfoo_takes_them_for() {
    let config = "prompts: ['{{ q }}']\nproviders: [x]\ntests: [file://t.csv, {vars: {q: a}, assert: [\
                  {type: contains, value: x, weight: -1}, {type: equals, value: 5.0}]}]\n";
    let rows = "q,__metadata:note,__metadata:tags[]\nz,\"a, b\",\"c\\, d, e\"\n";
    let (written, listed) = brought(&[("c.yaml", config), ("t.csv", rows)]);
    let all = written.values().cloned().collect::<String>();
    assert!(all.contains(r#""tags":["note:a, b","tags:c, d","tags:e"]"#) && all.contains(r#""target":"5""#), "{all}");
    assert!(listed.contains("assertion `contains` is left out: its weight is -1, and no weight here"), "{listed}");
}

//! Goldens: three templates of our own, and those of models where their files are at hand.

use super::*;
use serde_json::Value as Json;
use std::path::Path;

type Talk = &'static [(Role, &'static str)];

const SYSTEM: Talk = &[(Role::System, " Number only. "), (Role::User, "12 + 30?")];

const TURNS: Talk =
    &[(Role::User, "1 + 1?"), (Role::Assistant, "2 "), (Role::User, "你好, <b>\"5 > 3\"</b> & more?\n\nSecond line")];

/// In the manner of ChatML, with whitespace control and `loop.previtem`.
const CHATML: &str = r"{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
{%- endif %}
{% for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\n' }}
    {%- if loop.previtem is defined and loop.previtem.role == message.role %}{{- '(again) ' }}{% endif %}
    {{- message['content'] + '<|im_end|>' + '\n' }}
{% endfor %}
{% if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
";

/// In the manner of Llama 3: header ids, the date, a namespace, `continue`, and what Python prints of its values.
const HEADERS: &str = r"{{- bos_token }}
{%- set ns = namespace(system='', turns=0) %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = message.content.strip() %}
        {%- continue %}
    {%- endif %}
    {%- set ns.turns = ns.turns + 1 %}
{%- endfor %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + strftime_now('%d %b %Y') + '\n\n' + ns.system + '<|eot_id|>' }}
{%- for message in messages if message.role != 'system' %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{#- A comment. #}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
turns={{ ns.turns }} {{ none }} {{ ns.turns > 1 }} {{ messages[-1] | tojson }} {{ [1, 'é<&>', {'a': []}] | tojson(indent=2) }}
";

/// In the manner of Gemma: refuses a system message.
const NO_SYSTEM: &str = r"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}";

fn messages(talk: &[(Role, &str)]) -> Vec<Message> {
    talk.iter().map(|(role, content)| Message { role: *role, content: (*content).into() }).collect()
}

fn settings() -> ChatSettings {
    ChatSettings { bos: "<s>".into(), eos: "</s>".into(), date: Some("2026-11-23".into()), template_vars: Vars::new() }
}

fn rendered(source: &str, talk: &[(Role, &str)]) -> Result<String, ChatFailure> {
    ChatTemplate::compile(source, &settings()).unwrap().render(&messages(talk), true)
}

/// ```python
/// from jinja2.ext import loopcontrols
/// from jinja2.sandbox import ImmutableSandboxedEnvironment
/// def refuse(message): raise jinja2.TemplateError(message)
/// env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
/// env.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
/// env.globals.update(raise_exception=refuse, strftime_now=lambda f: datetime.date(2026, 11, 23).strftime(f))
/// for template in (CHATML, HEADERS, NO_SYSTEM):
///     for talk in (SYSTEM, TURNS):
///         messages = [{"role": role, "content": content} for role, content in talk]
///         env.from_string(template).render(messages=messages, bos_token="<s>", eos_token="</s>",
///                                          add_generation_prompt=True, tools=None)
/// ```
#[test]
fn renders_what_jinja2_renders() {
    let goldens: [(&str, Talk, Result<&str, &str>); 6] = [
        (
            CHATML,
            SYSTEM,
            Ok(
                "<|im_start|>system\n Number only. <|im_end|>\n\n<|im_start|>user\n12 + 30?<|im_end|>\n\n<|im_start|>assistant\n",
            ),
        ),
        (
            CHATML,
            TURNS,
            Ok(
                "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n\n<|im_start|>assistant\n2 <|im_end|>\n\n<|im_start|>user\n你好, <b>\"5 > 3\"</b> & more?\n\nSecond line<|im_end|>\n\n<|im_start|>assistant\n",
            ),
        ),
        (
            HEADERS,
            SYSTEM,
            Ok(
                "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 23 Nov 2026\n\nNumber only.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n12 + 30?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nturns=1 None False {\"role\": \"user\", \"content\": \"12 + 30?\"} [\n  1,\n  \"é<&>\",\n  {\n    \"a\": []\n  }\n]",
            ),
        ),
        (
            HEADERS,
            TURNS,
            Ok(
                "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 23 Nov 2026\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n1 + 1?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n2<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n你好, <b>\"5 > 3\"</b> & more?\n\nSecond line<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nturns=3 None True {\"role\": \"user\", \"content\": \"你好, <b>\\\"5 > 3\\\"</b> & more?\\n\\nSecond line\"} [\n  1,\n  \"é<&>\",\n  {\n    \"a\": []\n  }\n]",
            ),
        ),
        (NO_SYSTEM, SYSTEM, Err("System role not supported")),
        (
            NO_SYSTEM,
            TURNS,
            Ok(
                "<s><start_of_turn>user\n1 + 1?<end_of_turn>\n<start_of_turn>model\n2<end_of_turn>\n<start_of_turn>user\n你好, <b>\"5 > 3\"</b> & more?\n\nSecond line<end_of_turn>\n<start_of_turn>model\n",
            ),
        ),
    ];
    for (source, talk, golden) in goldens {
        let golden = golden.map(str::to_owned).map_err(|words| ChatFailure::Refused(words.to_owned()));
        assert_eq!(rendered(source, talk), golden);
    }
}

/// The templates of eight models and what Python's Jinja2 made of them, where `shared/` lies beside the checkout.
#[test]
fn renders_the_templates_of_real_models_as_jinja2_does() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = ["../shared", "../../shared"].map(|to| here.join(to).join("data/chat_templates"));
    let Some(folder) = folder.iter().find(|folder| folder.is_dir()) else {
        println!("skipped: no shared/data/chat_templates beside {}", here.display());
        return;
    };
    let file: Json = serde_json::from_slice(&std::fs::read(folder.join("goldens.json")).unwrap()).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let settings = ChatSettings {
        bos: text(&file["tokens"]["bos_token"]),
        eos: text(&file["tokens"]["eos_token"]),
        date: Some(text(&file["date"])),
        template_vars: Vars::new(),
    };
    let mut compared = 0;
    for (name, talks) in file["goldens"].as_object().unwrap() {
        let source = std::fs::read_to_string(folder.join(name)).unwrap();
        let template = ChatTemplate::compile(&source, &settings).unwrap();
        for (talk, golden) in talks.as_object().unwrap() {
            let messages: Vec<Message> = golden["messages"].as_array().unwrap().iter().map(message).collect();
            let expected = match golden.get("refused") {
                Some(words) => Err(ChatFailure::Refused(text(words))),
                None => Ok(text(&golden["rendered"])),
            };
            assert_eq!(template.render(&messages, true), expected, "{name}, {talk}");
            compared += 1;
        }
    }
    assert_eq!(compared, 24);
}

fn message(json: &Json) -> Message {
    let role =
        [Role::System, Role::User, Role::Assistant].into_iter().find(|role| json["role"] == role.name()).unwrap();
    Message { role, content: json["content"].as_str().unwrap().into() }
}

#[test]
fn drops_the_generation_tags_and_keeps_what_they_hold() {
    let source = "a\n{%- generation -%}\n  {{ messages[0].content }}\n{%- endgeneration %} b generation";
    assert_eq!(rendered(source, SYSTEM).unwrap(), "a Number only.  b generation");
    assert!(matches!(without_generation_tags("{% if x %}"), Cow::Borrowed(_)));
}

#[test]
fn the_suite_s_template_vars_and_default_date_reach_the_template() {
    let source = "{{ enable_thinking }} {{ list | tojson }} {{ strftime_now('%Y-%m-%d') }}";
    let json = serde_json::json!({"enable_thinking": false, "list": [1, "ü", {"b": null, "a": 0.5}]});
    let settings = ChatSettings { template_vars: serde_json::from_value(json).unwrap(), ..ChatSettings::default() };
    let template = ChatTemplate::compile(source, &settings).unwrap();
    assert_eq!(
        template.render(&[], false).unwrap(),
        format!("False [1, \"ü\", {{\"b\": null, \"a\": 0.5}}] {DEFAULT_DATE}")
    );
}

#[test]
fn says_what_is_wrong_with_a_template_or_a_date() {
    let error = |source: &str, settings: &ChatSettings| {
        crate::error::render(&ChatTemplate::compile(source, settings).unwrap_err(), false)
    };
    insta::assert_snapshot!(error("line\n{% if %}", &settings()), @r"
    error: the model's chat template cannot be read: syntax error: unexpected end of block (its line 2)
      help: use completion prompts (.txt files), or another GGUF of this model
    ");
    let settings = ChatSettings { date: Some("23 Nov".into()), ..settings() };
    insta::assert_snapshot!(error("", &settings), @r"
    error: `23 Nov` is not a day
      help: write it as `date: 2026-11-23`
    ");
}

#[test]
fn a_failure_names_the_template_s_line() {
    let failed = rendered("\n{{ missing.field }}", SYSTEM);
    assert!(matches!(&failed, Err(ChatFailure::Failed(message)) if message.ends_with("(its line 2)")), "{failed:?}");
}

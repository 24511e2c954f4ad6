//! What is typed into a chat: messages and commands.

use crate::error::did_you_mean;

/// Every command, with what is said of it.
const COMMANDS: [(&str, &str, &str); 6] = [
    ("/help", "", "this list"),
    ("/reset", "", "begin anew: what was said is forgotten, the system's message stays"),
    ("/system", "[TEXT]", "say what stands before the conversation, or show it; `/system -` removes it"),
    ("/save", "[FILE]", "add the conversation to a file (chat.jsonl), one line that a recipe can learn from"),
    ("/tokens", "", "how much of the context is in use, and what the last answer took"),
    ("/reward", "", "what the reward model finds in each answer (begin with --reward FILE)"),
];

/// Something typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    Nothing,
    Message(String),
    Help,
    Reset,
    System(Option<String>),
    Save(Option<String>),
    Tokens,
    Reward,
}

/// What was typed, or what is wrong with it. A message that begins with a slash is typed with two.
pub(super) fn typed(line: &str) -> Result<Typed, String> {
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Ok(Typed::Nothing);
    }
    if let Some(message) = trimmed.strip_prefix("//") {
        return Ok(Typed::Message(format!("/{message}")));
    }
    if !trimmed.starts_with('/') {
        return Ok(Typed::Message(line.to_owned()));
    }
    let (name, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
    let rest = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
    let bare = |typed: Typed| match &rest {
        None => Ok(typed),
        Some(rest) => Err(format!("`{name}` takes nothing, and `{rest}` stands behind it")),
    };
    match name {
        "/help" => bare(Typed::Help),
        "/reset" => bare(Typed::Reset),
        "/tokens" => bare(Typed::Tokens),
        "/reward" => bare(Typed::Reward),
        "/system" => Ok(Typed::System(rest)),
        "/save" => Ok(Typed::Save(rest)),
        other => {
            let known = COMMANDS.map(|(name, ..)| name);
            Err(format!(
                "there is no command `{other}`: {}\na message that begins with a slash is typed with two; Ctrl-D ends the chat",
                did_you_mean(other, &known)
            ))
        }
    }
}

/// What can be typed.
pub(super) fn help() -> String {
    let one = |(name, takes, what): &(&str, &str, &str)| format!("{:<15} {what}\n", format!("{name} {takes}"));
    COMMANDS.iter().map(one).collect::<String>()
        + "A line that ends in a backslash goes on in the next. Ctrl-C stops an answer, Ctrl-D ends the chat.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_two_a_message() {
        assert_eq!(typed("What is 1 / 2?\nAnd 3?"), Ok(Typed::Message("What is 1 / 2?\nAnd 3?".into())));
        assert_eq!(typed("//etc/hosts?"), Ok(Typed::Message("/etc/hosts?".into())));
        assert_eq!(typed("  "), Ok(Typed::Nothing));
        assert_eq!(typed("/system  Be brief. "), Ok(Typed::System(Some("Be brief.".into()))));
        assert_eq!((typed("/save"), typed("/reset ")), (Ok(Typed::Save(None)), Ok(Typed::Reset)));
    }

    #[test]
    fn an_unknown_command_says_which_there_are() {
        insta::assert_snapshot!(typed("/rest").unwrap_err(), @r"
        there is no command `/rest`: did you mean `/reset`? (/help, /reset, /system, /save, /tokens, /reward)
        a message that begins with a slash is typed with two; Ctrl-D ends the chat
        ");
        insta::assert_snapshot!(typed("/reset all").unwrap_err(), @"`/reset` takes nothing, and `all` stands behind it");
    }

    #[test]
    fn help_is_read_at_100_columns() {
        assert!(help().lines().all(|line| line.chars().count() <= 100), "{}", help());
        assert!(COMMANDS.iter().all(|(name, ..)| typed(name).is_ok()), "each of them is one");
    }
}

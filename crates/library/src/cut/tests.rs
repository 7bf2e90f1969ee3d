use super::*;

fn passages<'a>(cut: &'a Cut<'_>) -> Vec<(&'a str, &'a str)> {
    let parts = |span: &Span| {
        let context = span.context.map_or("", |place| cut.contexts[place].as_str());
        (context, &cut.text[span.range.clone()])
    };
    cut.passages.iter().map(parts).collect()
}

fn short(bytes: usize) -> Limits {
    Limits {
        passage_bytes_max: bytes,
        ..Limits::default()
    }
}

#[test]
fn paragraphs_share_a_passage_while_they_fit() {
    let text =
        "First one.\r\n\r\nSecond one.\n \n\nThe third one is so long that it does not fit beside them.\n";
    let cut = cut(Kind::Plain, text, &short(64)).unwrap();
    let expected = [
        ("", "First one.\r\n\r\nSecond one."),
        ("", "The third one is so long that it does not fit beside them."),
    ];
    assert_eq!(passages(&cut), expected);
}

#[test]
fn headings_are_context_and_code_stays_whole() {
    let text = "Before all.\n\n# Kitchen\n## Bread\nKnead.\n\n```rust\n# no heading\n\nlet a = 1;\n```\n\
                Soup\n----\nStir.\n### Deep\n# Garden\n## Empty\n## Roses\nPrune.\n";
    let cut = cut(Kind::Markdown, text, &Limits::default()).unwrap();
    let expected = [
        ("", "Before all."),
        (
            "Kitchen › Bread",
            "Knead.\n\n```rust\n# no heading\n\nlet a = 1;\n```",
        ),
        ("Kitchen › Soup", "Stir."),
        ("Kitchen › Soup", "Deep"),
        ("Garden", "Empty"),
        ("Garden › Roses", "Prune."),
    ];
    assert_eq!(passages(&cut), expected);
}

#[test]
fn code_too_long_for_the_rest_of_a_passage_begins_another() {
    let code = "```\nlet first = 1;\nlet second = 2;\nlet third = 3;\n```";
    let text = format!("This explains the code below.\n\n{code}\n\nAnd this follows.");
    let cut = cut(Kind::Markdown, &text, &short(64)).unwrap();
    assert_eq!(passages(&cut)[1], ("", code));
}

#[test]
fn list_items_are_kept_together_where_they_fit() {
    let text = "- one two three four five\n- six seven eight nine ten\n1. eleven twelve thirteen fourteen";
    let cut = cut(Kind::Markdown, text, &short(64)).unwrap();
    let expected = [
        ("", "- one two three four five\n- six seven eight nine ten"),
        ("", "1. eleven twelve thirteen fourteen"),
    ];
    assert_eq!(passages(&cut), expected);
}

#[test]
fn a_context_keeps_the_inner_headings() {
    let limits = Limits {
        context_bytes_max: 16,
        ..Limits::default()
    };
    let long = "é".repeat(40);
    let text = format!("# Outermost\n## Outer\n### Inner\na\n# {long}\nb");
    let cut = cut(Kind::Markdown, &text, &limits).unwrap();
    assert_eq!(cut.contexts, ["Outer › Inner", "é".repeat(8).as_str()]);
}

#[test]
fn pages_are_cut_like_markdown() {
    let html = "<title>Bread</title><h1>Bread</h1><p>Knead &amp; wait.<h2>Salt</h2><p>A pinch.";
    let cut = cut(Kind::Html, html, &Limits::default()).unwrap();
    assert_eq!(cut.title.as_deref(), Some("Bread"));
    assert_eq!(
        passages(&cut),
        [("Bread", "Knead & wait."), ("Bread › Salt", "A pinch.")]
    );
}

#[test]
fn what_is_no_text_is_refused() {
    let limits = Limits {
        text_bytes_max: 8,
        ..Limits::default()
    };
    let too_long = TextError::TooLong {
        bytes: 9,
        bytes_max: 8,
    };
    assert_eq!(cut(Kind::Plain, "123456789", &limits), Err(too_long.clone()));
    assert_eq!(read(b"123456789", &limits), Err(too_long));
    for (kind, text) in [
        (Kind::Plain, " \n\t"),
        (Kind::Markdown, "#\n"),
        (Kind::Html, "<p> &nbsp;"),
    ] {
        let cut = cut(kind, text, &Limits::default());
        assert!(kind == Kind::Markdown || cut == Err(TextError::Empty), "{cut:?}");
    }
    let headings = "# a\n".repeat(10_001);
    let many = cut(Kind::Markdown, &headings, &Limits::default());
    assert_eq!(many, Err(TextError::TooManyPassages(10_000)));
    assert!(cut(Kind::Markdown, &headings[4..], &Limits::default()).is_ok());
    assert_eq!(read(b"ab\xff", &limits), Err(TextError::NotUtf8 { at: 2 }));
    assert_eq!(read("\u{feff}ab".as_bytes(), &limits), Ok("ab"));
}

//! Names in a token stream. Tokens, because the inside of macros and attributes has no syntax tree; the syntax
//! tree tells elsewhere in which module and under which `cfg` a name stands.

use proc_macro2::{Delimiter, Group, LineColumn, Spacing, TokenStream, TokenTree};

/// How a name is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In an expression, type, pattern or attribute.
    Path,
    /// Imported, or a leaf of an import group.
    Use,
    /// Everything of it is imported.
    Glob,
    /// `.name(…)`
    Method,
    /// `name!`
    Macro,
}

/// One name as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) form: Form,
    /// `a::b::c` in parts; import groups are multiplied out.
    pub(crate) segments: Vec<String>,
    /// The `x` of `as x`.
    pub(crate) rename: Option<String>,
    /// What stands in the brackets of a macro, as text.
    pub(crate) body: String,
    /// Where its last part stands.
    pub(crate) start: LineColumn,
}

impl Name {
    /// The name by which an import is known afterwards.
    pub(crate) fn known_as(&self) -> &str {
        self.rename.as_deref().or_else(|| self.segments.last().map(String::as_str)).unwrap_or_default()
    }
}

/// All names in the stream, inside brackets too.
pub(crate) fn names(stream: TokenStream) -> Vec<Name> {
    let mut names = Vec::new();
    scan(stream, &mut names);
    names
}

fn scan(stream: TokenStream, names: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => {
                if follows_use(&tokens, at) {
                    scan_import_group(group, &[], names);
                } else {
                    scan(group.stream(), names);
                }
                at += 1;
            }
            TokenTree::Ident(_) if is_member(&tokens, at) => {
                if matches!(tokens.get(at + 1), Some(TokenTree::Group(_)))
                    || is_path_separator(&tokens, at + 1)
                {
                    push(names, Form::Method, &tokens, at, vec![word(&tokens[at])]);
                }
                at += 1;
            }
            TokenTree::Ident(_) => at = scan_path(&tokens, at, &[], follows_use(&tokens, at), names),
            TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
        }
    }
}

/// Reads `a::b`, `a::{b, c}`, `a::*`, `a as b` or `a!` from `at`; returns where to go on.
fn scan_path(
    tokens: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    is_use: bool,
    names: &mut Vec<Name>,
) -> usize {
    let mut segments = prefix.to_vec();
    while is_path_separator(tokens, at + 1) {
        match tokens.get(at + 3) {
            Some(TokenTree::Ident(_)) => {
                segments.push(word(&tokens[at]));
                at += 3;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                segments.push(word(&tokens[at]));
                scan_import_group(group, &segments, names);
                return at + 4;
            }
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                segments.push(word(&tokens[at]));
                push(names, Form::Glob, tokens, at, segments);
                return at + 4;
            }
            _ => break,
        }
    }
    // `{self}` in a group stands for what is before the group.
    let is_group_itself =
        !prefix.is_empty() && segments.len() == prefix.len() && is_word(tokens.get(at), "self");
    if !is_group_itself {
        segments.push(word(&tokens[at]));
    }
    let form = match (is_use, is_macro_call(tokens, at)) {
        (true, _) => Form::Use,
        (false, true) => Form::Macro,
        (false, false) => Form::Path,
    };
    push(names, form, tokens, at, segments);
    if is_use && is_word(tokens.get(at + 1), "as") {
        if let Some(name) = names.last_mut() {
            name.rename = tokens.get(at + 2).map(ToString::to_string);
        }
        return at + 3;
    }
    at + 1
}

fn scan_import_group(group: &Group, prefix: &[String], names: &mut Vec<Name>) {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(_) => at = scan_path(&tokens, at, prefix, true, names),
            TokenTree::Punct(star) if star.as_char() == '*' => {
                push(names, Form::Glob, &tokens, at, prefix.to_vec());
                at += 1;
            }
            _ => at += 1,
        }
    }
}

fn push(names: &mut Vec<Name>, form: Form, tokens: &[TokenTree], at: usize, segments: Vec<String>) {
    let body = match tokens.get(at + 2) {
        Some(TokenTree::Group(group)) if form == Form::Macro => group.stream().to_string(),
        _ => String::new(),
    };
    names.push(Name { form, segments, rename: None, body, start: tokens[at].span().start() });
}

fn word(token: &TokenTree) -> String {
    token.to_string().trim_start_matches("r#").to_owned()
}

fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    matches!(&tokens.get(at), Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint)
        && is_punct(tokens.get(at + 1), ':')
}

/// Preceded by one dot: a field or method, where two dots would be a range.
fn is_member(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && is_punct(tokens.get(at - 1), '.') && !(at > 1 && is_punct(tokens.get(at - 2), '.'))
}

fn follows_use(tokens: &[TokenTree], at: usize) -> bool {
    let before = if at >= 2 && is_path_separator(tokens, at - 2) { at - 2 } else { at };
    before > 0 && is_word(tokens.get(before - 1), "use")
}

fn is_macro_call(tokens: &[TokenTree], at: usize) -> bool {
    let is_bracket =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() != Delimiter::None);
    is_punct(tokens.get(at + 1), '!') && tokens.get(at + 2).is_some_and(is_bracket)
}

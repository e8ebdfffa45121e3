//! Rust source as words, signs and texts: comments and what only tests compile are left out.

#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    Word(String),
    /// `::`
    Separator,
    Sign(char),
    /// A string with its quotes, escapes as they are written.
    Text(String),
}

impl Token {
    pub fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn is(&self, sign: char) -> bool {
        *self == Token::Sign(sign)
    }
}

/// The tokens of a file without the items behind `#[cfg(test)]`.
pub fn tokens(text: &str) -> Vec<Token> {
    without_tests(&split(text))
}

fn split(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => comment(rest),
            ['"', ..] => {
                let length = string(rest);
                found.push(Token::Text(rest[..length.min(rest.len())].iter().collect()));
                length
            }
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => character(rest),
            [':', ':', ..] => {
                found.push(Token::Separator);
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let end = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_');
                let word: String = rest[..end.unwrap_or(rest.len())].iter().collect();
                match raw_string(&word, &rest[word.chars().count()..]) {
                    Some(length) => {
                        let length = word.chars().count() + length;
                        found.push(Token::Text(rest[..length].iter().collect()));
                        length
                    }
                    None => {
                        let length = word.chars().count();
                        found.push(Token::Word(word));
                        length
                    }
                }
            }
            [sign, ..] => {
                if !sign.is_whitespace() {
                    found.push(Token::Sign(*sign));
                }
                1
            }
            [] => break,
        };
    }
    found
}

/// The length of the block comment that `text` begins with; they nest.
fn comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string that `text` begins with.
fn string(text: &[char]) -> usize {
    quoted(text, '"')
}

fn character(text: &[char]) -> usize {
    quoted(text, '\'')
}

fn quoted(text: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a raw string's rest behind its prefix `word`, if it is one.
fn raw_string(word: &str, rest: &[char]) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let marks = rest.iter().take_while(|&&c| c == '#').count();
    if rest.get(marks) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    let body = &rest[marks + 1..];
    let length = body.windows(end.len()).position(|part| part == end)?;
    Some(marks + 1 + length + end.len())
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].is('#') {
            let end = attribute_end(tokens, at);
            let words: Vec<&str> = tokens[at..end].iter().filter_map(Token::word).collect();
            if words == ["cfg", "test"] {
                at = item_end(tokens, end);
                continue;
            }
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

/// Where the attribute that begins at `at` ends.
fn attribute_end(tokens: &[Token], at: usize) -> usize {
    closed(tokens, at, '[', ']')
}

/// Where the item at `at` ends, with the attributes before it.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|token| token.is('#')) {
        at = attribute_end(tokens, at);
    }
    match (at..tokens.len()).find(|&i| tokens[i].is(';') || tokens[i].is('{')) {
        Some(i) if tokens[i].is('{') && !tokens[at..i].contains(&Token::Word("use".into())) => {
            closed(tokens, i, '{', '}')
        }
        Some(i) => (i..tokens.len())
            .find(|&i| tokens[i].is(';'))
            .map_or(tokens.len(), |i| i + 1),
        None => tokens.len(),
    }
}

/// Where the first pair of brackets behind `at` is closed.
fn closed(tokens: &[Token], at: usize, open: char, close: char) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        if token.is(open) {
            depth += 1;
        } else if token.is(close) {
            depth -= 1;
            if depth == 0 {
                return i + 1;
            }
        }
    }
    tokens.len()
}

//! The crate's files and which of them use which.
//!
//! A name counts for the file that defines it: re-exports are followed, so a folder's `mod.rs` is no detour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// How many re-exports of one name are followed.
const MOST_REEXPORTS: usize = 8;

struct Import {
    /// The name in this file; `*` for all names of the path.
    name: String,
    path: Vec<String>,
    exported: bool,
}

struct File {
    /// Relative to `src`.
    path: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    definitions: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths of several names in the code, imports apart.
    paths: BTreeSet<Vec<String>>,
    /// Every name in the code, imports apart.
    names: BTreeSet<String>,
}

pub struct Sources(Vec<File>);

impl Sources {
    /// Reads `lib.rs` of a folder and all modules that it declares, without those for tests.
    pub fn read(folder: &Path) -> Sources {
        let mut sources = Sources(Vec::new());
        sources.add(folder, &folder.join("lib.rs"), folder, None);
        sources
    }

    /// Reads the module in `file`, whose own modules lie in `inner`.
    fn add(&mut self, root: &Path, file: &Path, inner: &Path, parent: Option<usize>) -> usize {
        let tokens = tokens(&std::fs::read_to_string(file).unwrap());
        let index = self.0.len();
        self.0.push(File {
            path: file.strip_prefix(root).unwrap().to_str().unwrap().to_string(),
            parent,
            children: BTreeMap::new(),
            definitions: definitions(&tokens),
            imports: Vec::new(),
            paths: BTreeSet::new(),
            names: BTreeSet::new(),
        });
        self.0[index].uses(&tokens);
        for name in modules(&tokens) {
            let inner = inner.join(&name);
            let candidates: [PathBuf; 2] = [inner.with_extension("rs"), inner.join("mod.rs")];
            let file = candidates.iter().find(|file| file.exists());
            let file = file.unwrap_or_else(|| panic!("{name} has no file"));
            let child = self.add(root, file, &inner, Some(index));
            self.0[index].children.insert(name, child);
        }
        index
    }

    /// For each file, by its path in `src`, the files whose names it uses.
    pub fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let paths = |files: BTreeSet<usize>| files.into_iter().map(|file| self.0[file].path.as_str()).collect();
        let files = self.0.iter().enumerate();
        files
            .map(|(index, file)| (file.path.as_str(), paths(self.used_by(index))))
            .collect()
    }

    fn used_by(&self, index: usize) -> BTreeSet<usize> {
        let file = &self.0[index];
        let mut used = BTreeSet::new();
        for import in &file.imports {
            if import.name == "*" {
                let module = self.find(index, &import.path, 0);
                let names = file.names.iter();
                used.extend(names.filter_map(|name| self.definer(module?, name, 0)));
            } else if !import.exported || file.names.contains(&import.name) {
                used.extend(self.find(index, &import.path, 0));
            }
        }
        used.extend(file.paths.iter().filter_map(|path| self.find(index, path, 0)));
        used.remove(&index);
        used
    }

    /// The file that defines what `path` means in the file `from`; `None` if that is not of this crate.
    fn find(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        if depth > MOST_REEXPORTS {
            return None;
        }
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.0[from].parent?,
            name => match self.0[from].children.get(name) {
                Some(&child) => child,
                None => {
                    let import = self.0[from].imports.iter().find(|import| import.name == *name)?;
                    self.find(from, &import.path, depth + 1)?
                }
            },
        };
        while let Some((name, behind)) = rest.split_first() {
            module = match self.0[module].children.get(name) {
                Some(&child) => child,
                None if name == "super" => self.0[module].parent?,
                None => return Some(self.definer(module, name, depth).unwrap_or(module)),
            };
            rest = behind;
        }
        Some(module)
    }

    /// The file that defines what is called `name` in a module, there or by a re-export.
    fn definer(&self, module: usize, name: &str, depth: usize) -> Option<usize> {
        let file = &self.0[module];
        if file.definitions.contains(name) {
            return Some(module);
        }
        let import = file.imports.iter().find(|import| import.name == name)?;
        self.find(module, &import.path, depth + 1)
    }
}

impl File {
    /// Splits the tokens into imports and the rest, and notes the names of both.
    fn uses(&mut self, tokens: &[Token]) {
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at].word() == Some("use") && !tokens[at.saturating_sub(1)].is('+') && !bound(tokens, at) {
                let exported = at > 0 && (tokens[at - 1].word() == Some("pub") || tokens[at - 1].is(')'));
                at = self.import(tokens, at + 1, &[], exported);
                continue;
            }
            if tokens[at].word() == Some("mod") {
                at += 2;
                continue;
            }
            // A visibility, `pub(in path)`, uses nothing.
            if tokens[at].word() == Some("in") && tokens[at.saturating_sub(1)].is('(') {
                at += tokens[at..].iter().position(|token| token.is(')')).unwrap_or(1);
                continue;
            }
            let begin = at;
            let mut path = Vec::new();
            while let Some(word) = tokens.get(at).and_then(Token::word) {
                self.names.insert(word.to_string());
                path.push(word.to_string());
                at += 1;
                if tokens.get(at) != Some(&Token::Separator) || tokens.get(at + 1).and_then(Token::word).is_none() {
                    break;
                }
                at += 1;
            }
            if path.len() > 1 && (begin == 0 || tokens[begin - 1] != Token::Separator) {
                self.paths.insert(path);
            }
            at = at.max(begin + 1);
        }
    }

    /// Notes a tree of imports that begins at `at`; returns where it ends.
    fn import(&mut self, tokens: &[Token], mut at: usize, before: &[String], exported: bool) -> usize {
        let mut path = before.to_vec();
        let mut name = None;
        while let Some(token) = tokens.get(at) {
            match token {
                Token::Word(word) if word == "as" => {
                    at += 1;
                    name = tokens[at].word().map(str::to_string);
                }
                Token::Word(word) => path.push(word.clone()),
                Token::Separator => {}
                Token::Sign('*') => name = Some("*".to_string()),
                Token::Sign('{') => {
                    at += 1;
                    while !tokens[at].is('}') {
                        at = self.import(tokens, at, &path, exported);
                        at += usize::from(tokens[at].is(','));
                    }
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            self.imports.push(Import { name, path, exported });
        }
        at
    }
}

/// Whether `use` is the bound `use<'a>` of a type and no import.
fn bound(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1).is_some_and(|token| token.is('<'))
}

/// The tokens outside of all braces, each with its index.
fn outermost(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0;
    tokens.iter().enumerate().filter(move |(_, token)| {
        depth += i32::from(token.is('{')) - i32::from(token.is('}'));
        depth == 0
    })
}

fn definitions(tokens: &[Token]) -> BTreeSet<String> {
    let keywords = [
        "fn", "struct", "enum", "trait", "type", "const", "static", "union", "mod",
    ];
    let defined = outermost(tokens).filter(|(_, token)| token.word().is_some_and(|word| keywords.contains(&word)));
    let names = defined.filter_map(|(at, _)| tokens.get(at + 1)?.word());
    names.map(str::to_string).collect()
}

/// The modules that a file declares and does not contain.
fn modules(tokens: &[Token]) -> Vec<String> {
    let declared = outermost(tokens).filter(|(_, token)| token.word() == Some("mod"));
    let outside = declared.filter(|(at, _)| tokens.get(at + 2).is_some_and(|token| token.is(';')));
    let names = outside.filter_map(|(at, _)| tokens[at + 1].word());
    names.map(str::to_string).collect()
}

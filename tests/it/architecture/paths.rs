//! Every path in a file's code, as it would be written from the root of the crate.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::{spanned::Spanned as _, visit::Visit};

use super::{IMPURE_CRATES, IMPURE_NAMES, IMPURE_STD, ROOMS};

/// A path into this crate, and the line it is on. Empty: the crate itself.
pub struct Finding {
    pub line: usize,
    pub path: Vec<String>,
}

/// The module that a file under `src/` is.
pub fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<_> = inside.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || (last == "lib" && module.len() == 1)) {
        module.pop();
    }
    module
}

/// All paths of a file that lead into this crate.
pub fn of_file(file: &syn::File, module: &[String]) -> Vec<Finding> {
    let mut walk = Walk { module: module.to_vec(), found: Vec::new() };
    walk.visit_file(file);
    walk.found.into_iter().filter_map(|(line, path)| path.map(|path| Finding { line, path })).collect()
}

/// The front page holds modules and re-exports, no code.
pub fn check_front_page(path: &str, file: &syn::File) -> Vec<String> {
    let code = file.items.iter().filter(|item| !matches!(item, syn::Item::Mod(_) | syn::Item::Use(_)));
    code.map(|item| format!("{path}:{}: the front page has re-exports, no code", item.span().start().line)).collect()
}

/// What a pure file may not hold, with its lines.
pub fn impurities(file: &syn::File) -> Vec<(usize, String)> {
    let mut search = Impurities { found: Vec::new() };
    search.visit_file(file);
    search.found
}

/// Walks a file; inline modules lengthen the path that `super` and `self` start from.
struct Walk {
    module: Vec<String>,
    found: Vec<(usize, Option<Vec<String>>)>,
}

impl Walk {
    fn add(&mut self, line: usize, segments: &[String]) {
        self.found.push((line, resolve(&self.module, segments)));
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        for (line, segments) in paths_in_tokens(tokens) {
            self.add(line, &segments);
        }
    }
}

/// The path from the crate's root, where a path begins with `crate`, `self` or `super`.
fn resolve(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let mut place = match segments.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => {
                place.pop();
            }
            name => place.push(name.to_owned()),
        }
    }
    Some(place)
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (line, segments) in flatten(&item.tree) {
            self.add(line, &segments);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.add(path.span().start().line, &segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, visibility: &'ast syn::Visibility) {
        // `pub(crate)` uses nothing; `pub(in …)` can only name what is around it.
        let _ = visibility;
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::Path(path) => self.visit_path(path),
            syn::Meta::List(list) => {
                self.visit_path(&list.path);
                self.add_tokens(list.tokens.clone());
            }
            // Documentation may speak of everything.
            syn::Meta::NameValue(_) => {}
        }
    }
}

/// Every leaf of a `use` tree as a whole path; a glob is the path before it.
fn flatten(tree: &syn::UseTree) -> Vec<(usize, Vec<String>)> {
    fn walk(tree: &syn::UseTree, before: &[String], leaves: &mut Vec<(usize, Vec<String>)>) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => walk(&path.tree, &with(&path.ident), leaves),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, before, leaves)),
            syn::UseTree::Name(name) => leaves.push((name.span().start().line, with(&name.ident))),
            syn::UseTree::Rename(rename) => leaves.push((rename.span().start().line, with(&rename.ident))),
            syn::UseTree::Glob(glob) => leaves.push((glob.span().start().line, before.to_vec())),
        }
    }
    let mut leaves = Vec::new();
    walk(tree, &[], &mut leaves);
    leaves
}

/// Paths that begin with `crate`, `$crate`, `super` or `self`, as far as tokens show them.
fn paths_in_tokens(tokens: TokenStream) -> Vec<(usize, Vec<String>)> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => found.extend(paths_in_tokens(group.stream())),
            TokenTree::Literal(literal) => found.extend(path_in_text(literal)),
            TokenTree::Ident(first) if ["crate", "super", "self"].contains(&first.to_string().as_str()) => {
                let line = first.span().start().line;
                let mut segments = vec![first.to_string()];
                while let Some(after) = after_colons(&tokens, at + 1) {
                    match &tokens[after] {
                        TokenTree::Ident(name) => segments.push(name.to_string()),
                        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                            let starts = group_starts(group.stream());
                            found.extend(starts.into_iter().map(|(line, name)| {
                                let path = if name == "self" { segments.clone() } else { joined(&segments, &name) };
                                (line, path)
                            }));
                            segments.clear();
                        }
                        _ => {}
                    }
                    at = after;
                    if segments.is_empty() {
                        break;
                    }
                }
                // `crate` and `self` alone are keywords of other things: a visibility, a receiver.
                if segments.len() > 1 {
                    found.push((line, segments));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn joined(segments: &[String], name: &str) -> Vec<String> {
    [segments, &[name.to_owned()]].concat()
}

/// The place after `::`, where tokens go on with it.
fn after_colons(tokens: &[TokenTree], at: usize) -> Option<usize> {
    match (tokens.get(at)?, tokens.get(at + 1)?) {
        (TokenTree::Punct(one), TokenTree::Punct(two))
            if one.as_char() == ':' && one.spacing() == Spacing::Joint && two.as_char() == ':' =>
        {
            tokens.get(at + 2).map(|_| at + 2)
        }
        _ => None,
    }
}

/// The first name of each item of a `{…}` group of a `use` inside a macro.
fn group_starts(tokens: TokenStream) -> Vec<(usize, String)> {
    let mut starts = Vec::new();
    let mut fresh = true;
    for token in tokens {
        match token {
            TokenTree::Ident(name) if fresh => {
                starts.push((name.span().start().line, name.to_string()));
                fresh = false;
            }
            TokenTree::Punct(punct) => fresh = punct.as_char() == ',' || (fresh && punct.as_char() == '$'),
            _ => fresh = false,
        }
    }
    starts
}

/// The path that an attribute's text may be, as in `#[serde(with = "crate::store::time")]`.
fn path_in_text(literal: &proc_macro2::Literal) -> Option<(usize, Vec<String>)> {
    let text = literal.to_string();
    let path: syn::Path = syn::parse_str(text.strip_prefix('"')?.strip_suffix('"')?).ok()?;
    let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let room = segments.get(1).is_some_and(|second| ROOMS.iter().any(|(room, _)| room == second));
    (segments.first().is_some_and(|first| first == "crate") && room).then(|| (literal.span().start().line, segments))
}

struct Impurities {
    found: Vec<(usize, String)>,
}

impl Impurities {
    fn judge(&mut self, line: usize, segments: &[String]) {
        let path = segments.join("::");
        let is_crate = segments.first().is_some_and(|first| IMPURE_CRATES.contains(&first.as_str()));
        let is_std = IMPURE_STD.iter().any(|part| path == *part || path.starts_with(&format!("{part}::")));
        let is_name = IMPURE_NAMES.iter().any(|name| format!("::{path}::").contains(&format!("::{name}::")));
        if is_crate || is_std || is_name || segments.iter().any(|segment| segment.starts_with("now_v")) {
            self.found.push((line, path));
        }
    }

    fn judge_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.judge_tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let line = first.span().start().line;
                    let mut segments = vec![first.to_string()];
                    while let Some(after) = after_colons(&tokens, at + 1) {
                        let TokenTree::Ident(name) = &tokens[after] else { break };
                        segments.push(name.to_string());
                        at = after;
                    }
                    self.judge(line, &segments);
                    if segments == ["async"] || segments == ["await"] {
                        self.found.push((line, format!("{} code", segments[0])));
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Impurities {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(keyword) = &signature.asyncness {
            self.found.push((keyword.span().start().line, "an async function".to_owned()));
        }
        syn::visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.found.push((block.span().start().line, "an async block".to_owned()));
        syn::visit::visit_expr_async(self, block);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        if closure.asyncness.is_some() {
            self.found.push((closure.span().start().line, "an async closure".to_owned()));
        }
        syn::visit::visit_expr_closure(self, closure);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (line, segments) in flatten(&item.tree) {
            self.judge(line, &segments);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.judge(path.span().start().line, &segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.judge_tokens(call.tokens.clone());
    }
}

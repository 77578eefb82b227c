//! A Rust file with what the checks ask of it: names and where they stand, functions, test parts.

use std::collections::BTreeMap;
use std::ops::Range;

use proc_macro2::{LineColumn, TokenStream};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Token};

use super::Finding;
use super::scan::{self, Form, Name};
use super::tree::Tree;

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// From `fn` to the closing brace.
    pub(crate) start: LineColumn,
    pub(crate) line_count: usize,
}

/// A file that parsed.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) names: Vec<Name>,
    pub(crate) functions: Vec<Function>,
    pub(crate) line_count: usize,
    /// Only compiled for tests.
    pub(crate) is_test: bool,
    /// Lines of items at the top that are neither modules nor imports.
    pub(crate) definitions: Vec<usize>,
    /// Lines of `#[path]` attributes.
    pub(crate) detours: Vec<usize>,
    /// What other crates' names are imported as, in any scope of the file.
    imports: BTreeMap<String, Vec<String>>,
    module: Vec<String>,
    inline_modules: Vec<(Range<LineColumn>, String)>,
    test_parts: Vec<Range<LineColumn>>,
    /// Modules in files of their own that are declared for tests only.
    test_modules: Vec<Vec<String>>,
}

impl Source {
    /// The path of the module around a place, without `crate`.
    pub(crate) fn module_at(&self, place: LineColumn) -> Vec<String> {
        let inner = self.inline_modules.iter().filter(|(range, _)| range.contains(&place));
        self.module.iter().chain(inner.map(|(_, name)| name)).cloned().collect()
    }

    /// Whether the place is compiled for tests only.
    pub(crate) fn is_test_at(&self, place: LineColumn) -> bool {
        self.is_test || self.test_parts.iter().any(|part| part.contains(&place))
    }

    /// How many lines are not for tests.
    pub(crate) fn production_line_count(&self) -> usize {
        if self.is_test {
            return 0;
        }
        let is_test = |line: &usize| {
            self.test_parts.iter().any(|part| (part.start.line..=part.end.line).contains(line))
        };
        (1..=self.line_count).filter(|line| !is_test(line)).count()
    }

    /// A name with its first part replaced by what was imported under it.
    pub(crate) fn imported(&self, name: &Name) -> Vec<String> {
        let mut path = name.segments.clone();
        if matches!(name.form, Form::Use | Form::Glob | Form::Method) {
            return path;
        }
        // Twice: an import may start at another import.
        for _ in 0..2 {
            if let Some(import) = path.first().and_then(|first| self.imports.get(first)) {
                path.splice(..1, import.iter().cloned());
            }
            if name.segments.first() == path.first() {
                break;
            }
        }
        path
    }

    /// A name as a path from the crate's root; `None` if it does not start at `crate`, `self` or `super`.
    pub(crate) fn path_in_crate(&self, name: &Name) -> Option<Vec<String>> {
        let mut segments = name.segments.iter().map(String::as_str).peekable();
        let mut path = match segments.next()? {
            "crate" => Vec::new(),
            "self" => self.module_at(name.start),
            "super" => {
                let mut path = self.module_at(name.start);
                path.pop()?;
                path
            }
            _ => return None,
        };
        while segments.next_if_eq(&"super").is_some() {
            path.pop()?;
        }
        path.extend(segments.map(str::to_owned));
        Some(path)
    }
}

/// All Rust files of the tree; those that do not parse become findings.
pub(crate) fn read_all(tree: &Tree, findings: &mut Vec<Finding>) -> Vec<Source> {
    let mut sources = Vec::new();
    for (path, text) in tree.texts(".rs") {
        match read(path, text) {
            Ok(source) => sources.push(source),
            Err(error) => {
                findings.push(Finding::new(
                    path,
                    error.span().start().line,
                    format!("does not parse: {error}"),
                ));
            }
        }
    }
    let test_modules: Vec<_> = sources
        .iter()
        .flat_map(|source| source.test_modules.iter().map(|module| (package(&source.path), module)))
        .collect();
    let is_declared_for_tests = |source: &Source| {
        let is_around = |(folder, module): &(String, &Vec<String>)| {
            *folder == package(&source.path) && source.module.starts_with(module.as_slice())
        };
        test_modules.iter().any(is_around)
    };
    let are_tests: Vec<bool> =
        sources.iter().map(|source| source.is_test || is_declared_for_tests(source)).collect();
    for (source, is_test) in sources.iter_mut().zip(are_tests) {
        source.is_test = is_test;
    }
    sources
}

fn read(path: &str, text: &str) -> syn::Result<Source> {
    let tokens: TokenStream = text.parse()?;
    let file: syn::File = syn::parse2(tokens.clone())?;
    let module = module_of(path);
    let names = scan::names(tokens);
    let is_import = |name: &&Name| name.form == Form::Use && name.known_as() != "_";
    let imports = names
        .iter()
        .filter(is_import)
        .map(|name| (name.known_as().to_owned(), name.segments.clone()))
        .collect();
    let mut reader = Reader {
        module: module.clone(),
        is_test: false,
        source: Source {
            path: path.to_owned(),
            names,
            imports,
            functions: Vec::new(),
            line_count: text.lines().count(),
            is_test: is_test_path(path) || is_test_only(&file.attrs),
            definitions: Vec::new(),
            detours: Vec::new(),
            module,
            inline_modules: Vec::new(),
            test_parts: Vec::new(),
            test_modules: Vec::new(),
        },
    };
    for item in &file.items {
        if !matches!(item, Item::Mod(_) | Item::Use(_)) {
            reader.source.definitions.push(item.span().start().line);
        }
    }
    reader.visit_file(&file);
    Ok(reader.source)
}

/// The folder of the package that a file belongs to.
fn package(path: &str) -> String {
    path.split_once("/src/").map_or("", |(folder, _)| folder).to_owned()
}

/// `crates/x/src/a/b.rs` is module `a::b`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
    let mut module: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = module.len() == 1 && (module[0] == "lib" || module[0] == "main" || module[0].is_empty());
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

struct Reader {
    module: Vec<String>,
    is_test: bool,
    source: Source,
}

impl Reader {
    /// Visits what is inside an item, remembering its lines if it is for tests only.
    fn enter(&mut self, attributes: &[Attribute], range: Range<LineColumn>, inside: impl FnOnce(&mut Self)) {
        let is_test_before = self.is_test;
        if is_test_only(attributes) {
            self.is_test = true;
            self.source.test_parts.push(range);
        }
        inside(self);
        self.is_test = is_test_before;
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.fn_token.span.start();
        let line_count = block.brace_token.span.close().end().line + 1 - start.line;
        self.source.functions.push(Function { name: signature.ident.to_string(), start, line_count });
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        self.enter(attributes_of(item), range_of(item), |reader| visit::visit_item(reader, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        self.enter(attributes, range_of(item), |reader| visit::visit_impl_item(reader, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let detours = item.attrs.iter().filter(|attribute| attribute.path().is_ident("path"));
        self.source.detours.extend(detours.map(|attribute| attribute.span().start().line));
        self.module.push(name.clone());
        match &item.content {
            Some((brace, _)) => {
                let range = brace.span.open().start()..brace.span.close().end();
                self.source.inline_modules.push((range, name));
            }
            None if self.is_test => self.source.test_modules.push(self.module.clone()),
            None => {}
        }
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn range_of(node: &impl Spanned) -> Range<LineColumn> {
    node.span().start()..node.span().end()
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let is_false = |meta: Meta| holds_without_tests(&meta) == Some(false);
        path.is_ident("test") || (path.is_ident("cfg") && attribute.parse_args().is_ok_and(is_false))
    })
}

/// Value of a `cfg` condition where nothing is built for tests; `None` if it depends on something else.
fn holds_without_tests(condition: &Meta) -> Option<bool> {
    match condition {
        Meta::Path(path) => path.is_ident("test").then_some(false),
        Meta::NameValue(pair) => {
            let is_testing = matches!(&pair.value, syn::Expr::Lit(literal)
                if matches!(&literal.lit, syn::Lit::Str(text) if text.value() == "testing"));
            (pair.path.is_ident("feature") && is_testing).then_some(false)
        }
        Meta::List(list) => {
            let parse = syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated;
            let inner: Vec<_> = list.parse_args_with(parse).ok()?.iter().map(holds_without_tests).collect();
            if list.path.is_ident("not") {
                inner.first().copied().flatten().map(|value| !value)
            } else {
                // `any` is settled by one true condition, `all` by one false one.
                let settling = list.path.is_ident("any");
                let is_open = inner.iter().any(|value| *value != Some(!settling));
                if inner.contains(&Some(settling)) { Some(settling) } else { (!is_open).then_some(!settling) }
            }
        }
    }
}

//! Keys that are not known, and names that are not in their notation.

use std::borrow::Cow;

use super::{Here, Reader, listed};
use crate::config::{
    codes,
    diagnostic::quoted,
    document::{Content, Entry, Site},
    later,
    shape::{Object, Shape},
    source::mask,
    suggest,
    values::{Rule, ValueFault},
};

/// Up to so many known keys are listed where none is near.
const FEW: usize = 12;

impl<'d> Reader<'d, '_> {
    /// Complains about a key. Returns the known one that it is likely meant to be.
    pub(super) fn unknown_key<'s>(
        &mut self,
        entry: &Entry<'d>,
        object: &'s Object,
    ) -> Option<Cow<'s, str>> {
        // A mistyped key must not show the secret behind it.
        let later = later::brings_key(&self.keys());
        if (object.keeps_secrets() && !later) || mask::is_suspect(entry.name) {
            self.secrets.push(entry.value.range());
        }
        self.hide_suspects(entry.value);
        let range = entry.span().range();
        if later {
            let message = format!("{} is not available in this version", quoted(entry.name));
            let fault = self.error(codes::NOT_AVAILABLE, range, message);
            self.note(fault.help("remove it; nothing takes its place yet"));
            return None;
        }
        let fault =
            self.error(codes::UNKNOWN_KEY, range, format!("unknown key {}", quoted(entry.name)));
        let known = object.names.iter().map(|name| Cow::Borrowed(name.as_str()));
        let near = suggest::nearest(entry.name, known);
        let help = if let Some(inner) = home(object, entry.name) {
            Some(format!("`{}` stands under `{inner}`", entry.name))
        } else if let Some(near) = &near {
            Some(format!("did you mean `{near}`?"))
        } else if object.names.len() <= FEW {
            Some(format!("known here: {}", listed(&object.names)))
        } else {
            None
        };
        self.note(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
        near
    }

    /// Hides what looks like a secret in a value that has no place here.
    pub(super) fn hide_suspects(&mut self, site: Site<'d>) {
        if let Content::Scalar(text, _) = site.content()
            && mask::is_url_with_user(text)
        {
            self.secrets.push(site.range());
        }
        site.entries().for_each(|entry| self.hide_suspect(&entry));
        site.items().for_each(|item| self.hide_suspects(item));
    }

    /// Hides the value of a key that sounds secret, and what looks like a secret within it.
    pub(super) fn hide_suspect(&mut self, entry: &Entry<'d>) {
        if mask::is_suspect(entry.name) {
            self.secrets.push(entry.value.range());
        }
        self.hide_suspects(entry.value);
    }

    /// Whether a name that the file chose is in its notation.
    pub(super) fn judge_name(&mut self, entry: &Entry<'d>, rule: &Rule) -> bool {
        let Err(fault) = (rule.judge)(entry.name) else { return true };
        let here = Here { site: entry.value, key: Some(entry) };
        let ValueFault { code, reason, help } = fault;
        let message = reason
            .unwrap_or_else(|| format!("expected {}, found {}", rule.expects, quoted(entry.name)));
        let fault = self.error(code, here.head(), message);
        self.note(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
        false
    }
}

/// The key of a mapping within this one that knows the name, if there is one.
fn home<'s>(object: &'s Object, name: &str) -> Option<&'s str> {
    let knows = |shape: &Shape| {
        shape.choices().iter().any(|choice| match choice {
            Shape::Object(inner) => inner.keys.contains_key(name),
            _ => false,
        })
    };
    let mut homes = object.keys.iter().filter(|(_, property)| knows(&property.shape));
    let (first, _) = homes.next()?;
    homes.next().is_none().then_some(first.as_str())
}

//! The two forms in which the file is declared: sections with their keys, and choices with their words.

/// Declares a section: one line a key gives its name, type, default (YAML text) and doc comment, and makes the struct,
/// its reader and its schema. A key without default is required unless its type says what absence means.
/// `check` looks at the raw section whether or not its values could be read, so no error hides another.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident $(, check $check:path)? {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty $(= $default:literal)?, )*
        }
    ) => {
        $(#[doc = $about])+
        #[allow(dead_code, reason = "some keys only need to be checked, and not every section needs its place")]
        pub(crate) struct $name {
            pub(crate) at: $crate::plan::Position,
            $( $(#[doc = $doc])+ pub(crate) $key: $type, )*
        }

        impl $crate::shape::Section for $name {
            const ABOUT: &'static str = concat!($($about),+);

            fn names() -> Vec<&'static str> {
                vec![$(stringify!($key).trim_start_matches("r#")),*]
            }

            fn keys() -> Vec<$crate::shape::Key> {
                vec![$({
                    let default: Option<&'static str> = $crate::declare::default!($($default)?);
                    $crate::shape::Key {
                        name: stringify!($key).trim_start_matches("r#"),
                        doc: $crate::shape::doc(&[$($doc),+]),
                        default,
                        required: default.is_none() && <$type as $crate::shape::Shape>::required(),
                        title: <$type as $crate::shape::Shape>::title(),
                        schema: <$type as $crate::shape::Shape>::schema(),
                    }
                }),*]
            }
        }

        impl $crate::shape::Shape for $name {
            fn title() -> String {
                $crate::reader::mapping_with(&<Self as $crate::shape::Section>::names())
            }

            fn schema() -> serde_json::Value {
                use $crate::shape::Section;
                $crate::shape::object(Self::ABOUT.trim(), Self::keys())
            }

            fn read(node: &$crate::node::Node, cx: &mut $crate::reader::Cx<'_>) -> Option<Self> {
                use $crate::shape::Section;
                cx.section(node, &Self::names())?;
                $(
                    let default = $crate::declare::default!($($default)?);
                    let $key: Option<$type> =
                        cx.field(node, stringify!($key).trim_start_matches("r#"), default);
                )*
                $( $check(node, cx); )?
                Some(Self { at: node.at, $( $key: $key?, )* })
            }
        }
    };
}

/// Declares the words of a setting and the value each stands for.
macro_rules! choice {
    ($type:ty { $($word:literal => $value:expr, $doc:literal;)+ }) => {
        impl $crate::shape::Shape for $type {
            fn title() -> String {
                [$(concat!("`", $word, "`")),+].join(", ")
            }

            fn schema() -> serde_json::Value {
                $crate::shape::or_variable(serde_json::json!({
                    "oneOf": [$({ "const": $word, "description": $doc }),+]
                }))
            }

            fn read(node: &$crate::node::Node, cx: &mut $crate::reader::Cx<'_>) -> Option<Self> {
                match node.text() {
                    $(Some($word) => Some($value),)+
                    _ => {
                        let words = [$($word),+];
                        let help = node.text().and_then(|text| cx.similar(text, &words)).unwrap_or_default();
                        cx.mismatch(node, &format!("one of {}", Self::title()), &help)
                    }
                }
            }
        }
    };
}

/// A default that may not be there.
macro_rules! default {
    () => {
        None
    };
    ($default:literal) => {
        Some($default)
    };
}

pub(crate) use {choice, default, section};

//! What is wrong with a body, all of it at once. The JSON Schema of a body is the one that the OpenAPI
//! document shows, derived from the same type, so that the two cannot differ. **A fault never repeats
//! what was sent**: that could be somebody's address.

use events::{Currency, ids::Sku};
use jsonschema::{
    JsonType, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
    paths::Location,
};
use platform::problem::Fault;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The most faults that one answer lists.
const FAULTS_MAX: usize = 1_000;

/// The schema of `T`, ready to judge bodies.
pub(super) fn validator_of<T: ToSchema>() -> Result<Validator, ValidationError<'static>> {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named: serde_json::Map<_, _> =
        named.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    let mut schema = json!(T::schema());
    schema["components"] = json!({ "schemas": named });
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .with_format("sku", |text: &str| text.parse::<Sku>().is_ok())
        .with_format("currency", |text: &str| text.parse::<Currency>().is_ok())
        .with_format("line", is_line)
        .with_format("lines", is_lines)
        .build(&schema)
}

/// One line of text that says something. Control characters have no place in a text that is shown,
/// and a zero byte none in a database.
fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Text of several lines.
fn is_lines(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(|char| char.is_control() && char != '\n')
}

/// Everything that the schema has against `body`, in the order of places.
pub(super) fn faults(validator: &Validator, body: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in validator.iter_errors(body) {
        collect(&error, &mut faults);
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    faults.sort();
    faults.truncate(FAULTS_MAX);
    faults
}

fn collect(error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
    let place = error.instance_path();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let unknown = |name: &String| fault(&place.join(name.as_str()), "is not a field of this request");
            faults.extend(unexpected.iter().map(unknown));
        }
        ValidationErrorKind::Required { property } => {
            faults.push(fault(&place.join(property.as_str().unwrap_or_default()), "is required"));
        }
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            match context.iter().find(|errors| errors.iter().all(|error| !is_of_another_type(error, place))) {
                Some(errors) => errors.iter().for_each(|error| collect(error, faults)),
                None => faults.push(fault(place, "is of the wrong type")),
            }
        }
        kind => faults.push(fault(place, sentence(kind))),
    }
}

/// Whether a branch of alternatives was ruled out by the type of the value itself.
fn is_of_another_type(error: &ValidationError<'_>, place: &Location) -> bool {
    error.instance_path() == place && matches!(error.kind(), ValidationErrorKind::Type { .. })
}

fn fault(place: &Location, detail: impl Into<String>) -> Fault {
    Fault { pointer: place.as_str().to_owned(), detail: detail.into() }
}

/// What is allowed there.
fn sentence(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(expected) } => {
            format!("must be {}", type_in_words(*expected))
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit: 1 } => "must have at least one item".to_owned(),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} items"),
        ValidationErrorKind::Enum { options } => format!("must be one of {options}"),
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::Format { format } => format_in_words(format).to_owned(),
        other => format!("breaks the rule \"{}\" of the schema", other.keyword()),
    }
}

fn type_in_words(expected: JsonType) -> &'static str {
    match expected {
        JsonType::Array => "an array",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn format_in_words(format: &str) -> &'static str {
    match format {
        "sku" => "must be a SKU: printable ASCII characters, neither beginning nor ending with a space",
        "currency" => "must be a currency code of ISO 4217, in capitals",
        "line" => "must be one line of text, without control characters",
        "lines" => "must be text, without control characters other than line feeds",
        "uuid" => "must be a UUID",
        "email" => "must be an e-mail address",
        _ => "must be of the format that the schema names",
    }
}

//! What is special to OpenVINO: properties of its devices come as JSON in the option `load_config`.

use serde_json::{Map, Value};

/// The provider's name.
pub(super) const PROVIDER: &str = "OpenVINOExecutionProvider";

const CONFIG: &str = "load_config";

/// The options given, with the number of threads in `load_config` where it is a wish and not given there.
pub(super) fn options(given: &[(String, String)], target: &str, threads: usize) -> Vec<(String, String)> {
    let mut options = given.to_vec();
    // The contents of a file of properties, so that they are part of what times are kept under.
    for (_, value) in options.iter_mut().filter(|(name, _)| name == CONFIG) {
        if let Some(text) = std::fs::read_to_string(&value)
            .ok()
            .filter(|t| serde_json::from_str::<Value>(t).is_ok())
        {
            *value = text;
        }
    }
    if threads == 0 || target != "CPU" {
        return options;
    }
    let config = options.iter().position(|(name, _)| name == CONFIG);
    let text = config.map_or("{}", |at| options[at].1.as_str());
    // What is no JSON is for the provider to refuse.
    let Ok(Value::Object(mut all)) = serde_json::from_str::<Value>(text) else {
        return options;
    };
    let device = all.entry(target).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(device) = device {
        device
            .entry("INFERENCE_NUM_THREADS")
            .or_insert_with(|| Value::String(threads.to_string()));
    }
    let text = Value::Object(all).to_string();
    match config {
        Some(at) => options[at].1 = text,
        None => options.push((CONFIG.to_owned(), text)),
    }
    options
}

/// The precision that was asked for: `f32` where a hint or an accuracy mode says so, else the provider's own choice.
pub(super) fn precision(options: &[(String, String)]) -> Option<String> {
    let text = &options.iter().find(|(name, _)| name == CONFIG)?.1;
    let all: Value = serde_json::from_str(text).ok()?;
    let hint = all
        .as_object()?
        .values()
        .find_map(|d| d.get("INFERENCE_PRECISION_HINT"))?;
    hint.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{options, precision};

    #[test]
    fn threads_join_what_is_given() {
        let own = |text: &str| vec![("load_config".to_owned(), text.to_owned())];
        assert_eq!(options(&[], "CPU", 1), own(r#"{"CPU":{"INFERENCE_NUM_THREADS":"1"}}"#));
        assert!(options(&[], "CPU", 0).is_empty() && options(&[], "GPU", 2).is_empty());
        let given = own(r#"{"CPU":{"INFERENCE_PRECISION_HINT":"f32"}}"#);
        let both = options(&given, "CPU", 2);
        assert!(both[0].1.contains(r#""INFERENCE_NUM_THREADS":"2""#), "{both:?}");
        assert_eq!(precision(&both).as_deref(), Some("f32"));
        let set = own(r#"{"CPU":{"INFERENCE_NUM_THREADS":"4"}}"#);
        assert_eq!(options(&set, "CPU", 2), set);
        assert_eq!(options(&own("ov.json"), "CPU", 2), own("ov.json"));
    }
}

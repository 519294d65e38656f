//! The usual AWS files: `~/.aws/credentials` and `~/.aws/config`.
//!
//! They are ini files: sections in brackets, `key = value` lines, comments after `#` or `;` at the
//! start of a line. In the config file a profile's section is `[profile NAME]`, except `[default]`;
//! in the credentials file it is `[NAME]`. What is read is what a static key needs: id, secret,
//! token, region, endpoint. Roles and SSO are left to the tools that refresh them; they can hand
//! their result over by the environment.

use std::collections::BTreeMap;

/// What a profile says.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    values: BTreeMap<String, String>,
}

impl Profile {
    /// The profile `name` out of the texts of both files; the credentials file wins where both say
    /// something.
    pub(super) fn read(credentials: Option<&str>, config: Option<&str>, name: &str) -> Self {
        let mut values = BTreeMap::new();
        let config_section = match name {
            "default" => name.to_owned(),
            other => format!("profile {other}"),
        };
        for (text, section) in [(config, config_section.as_str()), (credentials, name)] {
            values.extend(
                text.into_iter()
                    .flat_map(|text| section_values(text, section)),
            );
        }
        Self { values }
    }

    /// A value that is there and not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

fn section_values(text: &str, wanted: &str) -> Vec<(String, String)> {
    let mut is_wanted = false;
    let mut values = Vec::new();
    for line in text.lines() {
        // Indented lines are nested settings (`s3 =` and what is below it), not this section's own.
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let name: Vec<&str> = name.split_whitespace().collect();
            is_wanted = name.join(" ") == wanted;
        } else if let Some((key, value)) = line.split_once('=')
            && is_wanted
            && !is_nested
        {
            values.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::Profile;

    const CREDENTIALS: &str = "\
# keys
[default]
aws_access_key_id = ID
aws_secret_access_key=SE=CRET
[ work ]
aws_access_key_id = WORK
";
    const CONFIG: &str = "\
[default]
region = eu-west-1
s3 =
  addressing_style = path
aws_access_key_id = loses
[profile work]
region = us-west-2
endpoint_url = http://127.0.0.1:9000
";

    #[test]
    fn a_profile_is_read_from_both_files() {
        let profile = Profile::read(Some(CREDENTIALS), Some(CONFIG), "default");
        assert_eq!(profile.get("aws_access_key_id"), Some("ID"));
        assert_eq!(profile.get("aws_secret_access_key"), Some("SE=CRET"));
        assert_eq!(profile.get("region"), Some("eu-west-1"));
        assert_eq!(profile.get("s3"), None, "empty");
        assert_eq!(profile.get("addressing_style"), None, "nested");
        let work = Profile::read(Some(CREDENTIALS), Some(CONFIG), "work");
        assert_eq!(work.get("aws_access_key_id"), Some("WORK"));
        assert_eq!(work.get("region"), Some("us-west-2"));
        assert_eq!(work.get("endpoint_url"), Some("http://127.0.0.1:9000"));
    }

    #[test]
    fn missing_files_and_profiles_say_nothing() {
        assert_eq!(Profile::read(None, None, "default").get("region"), None);
        assert_eq!(
            Profile::read(Some(CREDENTIALS), Some(CONFIG), "other").get("region"),
            None
        );
        assert_eq!(Profile::read(Some("[=]\n=\n[\n]"), None, "=").get(""), None);
    }
}

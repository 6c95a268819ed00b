//! `annals completions`.

use super::program::{run, run_with_input};

#[test]
fn every_shell_gets_all_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, err) = run(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for verb in ["status", "subscriptions", "verify", "migrate", "--database-url"] {
            // fish says options without their dashes.
            assert!(out.contains(verb.trim_start_matches('-')), "{shell} lacks {verb}");
        }
    }
    let (code, _, err) = run_with_input("", &["completions", "tcsh"], b"");
    assert_eq!(code, 2);
    assert!(err.contains("bash"), "{err}");
}

#[test]
fn bash_understands_it() {
    let (_, script, _) = run(&["completions", "bash"]);
    let asked = format!(
        "{script}\nCOMP_WORDS=(annals subs); COMP_CWORD=1; _annals annals subs annals; echo \"${{COMPREPLY[@]}}\""
    );
    let output = std::process::Command::new("bash").args(["--norc", "-c", &asked]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "subscriptions\n", "{:?}", output.stderr);
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

func completionCommand() *command {
	return &command{
		name:    "completion",
		args:    "bash|zsh|fish",
		summary: "print the completion script of a shell",
		text: `Prints a script that completes commands and flags. The installation puts it
where the shell looks; to try it: source <(tunesafe completion bash)`,
		hidden: true,
		bind: func(*pflag.FlagSet) action {
			return func(_ context.Context, e *env, args []string) error {
				if err := want(args, 1, 1, "the shell"); err != nil {
					return err
				}
				script := map[string]func(io.Writer, []completed) error{
					"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion,
				}[args[0]]
				if script == nil {
					return misuse("no completion for shell %q", args[0])
				}
				return script(e.stdout, completions())
			}
		},
	}
}

// completed is what can be completed behind a command.
type completed struct {
	name, summary string
	flags         []*pflag.Flag
	words         []string // first arguments, if they are few
}

func completions() (list []completed) {
	for _, c := range commands() {
		if c.hidden {
			continue
		}
		one := completed{name: c.name, summary: c.summary}
		set, _, _ := c.flags()
		set.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				one.flags = append(one.flags, f)
			}
		})
		if c.name == "help" {
			for _, other := range commands() {
				one.words = append(one.words, other.name)
			}
		}
		list = append(list, one)
	}
	return list
}

func bashCompletion(w io.Writer, list []completed) error {
	var names []string
	var cases strings.Builder
	for _, c := range list {
		names = append(names, c.name)
		words := append([]string{}, c.words...)
		for _, f := range c.flags {
			words = append(words, "--"+f.Name)
		}
		fmt.Fprintf(&cases, "        %s) words=%q ;;\n", c.name, strings.Join(words, " "))
	}
	_, err := fmt.Fprintf(w, `# bash completion of tunesafe, made from its flags
_tunesafe() {
    local current=${COMP_WORDS[COMP_CWORD]} command= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --home) ((i++)) ;;
        -*) ;;
        *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $command in
        '') words=%q ;;
%s    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tunesafe tunesafe
`, strings.Join(append(names, "--home"), " "), cases.String())
	return err
}

func zshCompletion(w io.Writer, list []completed) error {
	var names, cases strings.Builder
	for _, c := range list {
		fmt.Fprintf(&names, "        %s\n", zshQuote(c.name+":"+c.summary))
		fmt.Fprintf(&cases, "    %s) _arguments", c.name)
		for _, f := range c.flags {
			fmt.Fprintf(&cases, " \\\n        %s", zshQuote(zshFlag(f)))
		}
		if len(c.words) > 0 {
			fmt.Fprintf(&cases, " \\\n        %s ;;\n", zshQuote("1:command:("+strings.Join(c.words, " ")+")"))
		} else {
			fmt.Fprintf(&cases, " \\\n        '*:file:_files' ;;\n")
		}
	}
	_, err := fmt.Fprintf(w, `#compdef tunesafe
# zsh completion of tunesafe, made from its flags
_tunesafe() {
    local -a commands
    local curcontext=$curcontext state line
    commands=(
%s    )
    _arguments -C '--home[the home folder]:folder:_files -/' '1: :->command' '*:: :->rest'
    case $state in
    command) _describe command commands; return ;;
    esac
    case $line[1] in
%s    esac
}
_tunesafe "$@"
`, names.String(), cases.String())
	return err
}

// zshFlag is a specification of _arguments: zshcompsys(1).
func zshFlag(f *pflag.Flag) string {
	name, usage := pflag.UnquoteUsage(f)
	spec := "--" + f.Name + "[" + strings.NewReplacer("[", "(", "]", ")").Replace(usage) + "]"
	if f.NoOptDefVal == "" {
		spec += ":" + strings.ReplaceAll(name, ":", "") + ":_files"
	}
	return spec
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishCompletion(w io.Writer, list []completed) error {
	var b strings.Builder
	b.WriteString("# fish completion of tunesafe, made from its flags\n")
	b.WriteString("complete -c tunesafe -n __fish_use_subcommand -l home -r -d 'the home folder'\n")
	for _, c := range list {
		fmt.Fprintf(&b, "complete -c tunesafe -n __fish_use_subcommand -f -a %s -d %s\n", c.name, fishQuote(c.summary))
		behind := fishQuote("__fish_seen_subcommand_from " + c.name)
		for _, f := range c.flags {
			_, usage := pflag.UnquoteUsage(f)
			fmt.Fprintf(&b, "complete -c tunesafe -n %s -l %s", behind, f.Name)
			if f.Shorthand != "" {
				fmt.Fprintf(&b, " -s %s", f.Shorthand)
			}
			if f.NoOptDefVal == "" {
				b.WriteString(" -r")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(usage))
		}
		if len(c.words) > 0 {
			fmt.Fprintf(&b, "complete -c tunesafe -n %s -f -a %s\n", behind, fishQuote(strings.Join(c.words, " ")))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

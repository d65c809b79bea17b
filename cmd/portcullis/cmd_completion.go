package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCmd is "portcullis completion".
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements kong.HelpProvider.
func (*CompletionCmd) Help() string {
	return `Examples:

  portcullis completion bash > /etc/bash_completion.d/portcullis
  portcullis completion zsh > "${fpath[1]}/_portcullis"
  portcullis completion fish > ~/.config/fish/completions/portcullis.fish`
}

// Run implements the command.
func (c *CompletionCmd) Run(app *App) error {
	commands := completions(app.model.Node, "")
	write := map[string]func(io.Writer, []completion) error{"bash": writeBash, "zsh": writeZsh, "fish": writeFish}[c.Shell]
	return write(app.Out, commands)
}

// completion is what may follow one command.
type completion struct {
	path        string // "/config/check"; "" = the program itself
	subcommands [][2]string
	flags       []flagCompletion // of this command and those around it
	values      []string         // of its argument
	files       bool             // its argument is a file
}

// flagCompletion is one flag.
type flagCompletion struct {
	long   string
	short  string // "" = none
	help   string
	takes  bool // a value follows
	values []string
	files  bool
}

// completions walks the model of the command line; the texts that go into the
// scripts are ours alone, so plain quoting does.
func completions(node *kong.Node, path string) []completion {
	c := completion{path: path}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if f.Hidden {
				continue
			}
			flag := flagCompletion{long: f.Name, help: short(f.Help), takes: !f.IsBool(), values: enumValues(f.Value),
				files: f.PlaceHolder == "FILE" || f.PlaceHolder == "DIR"}
			if f.Short != 0 {
				flag.short = string(f.Short)
			}
			c.flags = append(c.flags, flag)
		}
	}
	for _, p := range node.Positional {
		c.values = append(c.values, enumValues(p)...)
		c.files = c.files || strings.HasPrefix(p.Name, "file")
	}
	all := []completion{}
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		c.subcommands = append(c.subcommands, [2]string{child.Name, short(child.Help)})
		all = append(all, completions(child, path+"/"+child.Name)...)
	}
	if d := node.DefaultCmd; d != nil {
		own := map[string]bool{}
		for _, f := range c.flags {
			own[f.long] = true
		}
		for _, f := range completions(d, path)[0].flags {
			if !own[f.long] {
				c.flags = append(c.flags, f)
			}
		}
	}
	return append([]completion{c}, all...)
}

// enumValues are the values that a flag or an argument may have.
func enumValues(v *kong.Value) []string {
	var out []string
	if v.Enum == "" {
		return nil
	}
	for _, e := range v.EnumSlice() {
		if e != "" {
			out = append(out, e)
		}
	}
	return out
}

// short cuts a help text to its first clause, for the list in the shell.
func short(help string) string {
	help, _, _ = strings.Cut(help, ";")
	help, _, _ = strings.Cut(help, ": ")
	return strings.TrimSuffix(help, ".")
}

// quoteSh quotes for bash, zsh and fish alike.
func quoteSh(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// flagWords lists a command's flags as they are typed.
func (c completion) flagWords() []string {
	var out []string
	for _, f := range c.flags {
		out = append(out, "--"+f.long)
		if f.short != "" {
			out = append(out, "-"+f.short)
		}
	}
	return out
}

// subcommandWords lists the commands below one.
func (c completion) subcommandWords() []string {
	var out []string
	for _, s := range c.subcommands {
		out = append(out, s[0])
	}
	return out
}

// valueFlags lists the patterns of all flags that take a value.
func valueFlags(commands []completion) string {
	seen := map[string]bool{}
	var out []string
	for _, c := range commands {
		for _, f := range c.flags {
			if f.takes && !seen[f.long] {
				seen[f.long] = true
				out = append(out, "--"+f.long)
				if f.short != "" {
					out = append(out, "-"+f.short)
				}
			}
		}
	}
	return strings.Join(out, "|")
}

// pathsPattern lists all command paths as a pattern of case.
func pathsPattern(commands []completion) string {
	var out []string
	for _, c := range commands[1:] {
		out = append(out, c.path)
	}
	return strings.Join(out, "|")
}

// bashHead finds the command that the cursor is in, and the flag before it. A
// "=" is a word of its own to bash.
const bashHead = `# bash completion of portcullis, made by "portcullis completion bash"
_portcullis() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= i w offer= files=
  if [ "$cur" = = ]; then
    cur=
  elif [ "$prev" = = ] && [ "$COMP_CWORD" -ge 2 ]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
    case $w in
      %s) i=$((i + 1)); [ "${COMP_WORDS[i]}" = = ] && i=$((i + 1)); continue ;;
    esac
    case $at/$w in
      %s) at=$at/$w ;;
    esac
  done
`

const bashTail = `  if [ -n "$files" ]; then
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$offer" -- "$cur"))
  fi
}
complete -F _portcullis portcullis
`

// writeCases writes two case statements that bash and zsh read alike: the first
// for the value of a flag, the second for anything else. They set offer or files.
func writeCases(b *strings.Builder, commands []completion) {
	b.WriteString("  case $at:$prev in\n")
	for _, c := range commands {
		for _, f := range c.flags {
			if !f.takes {
				continue
			}
			pattern := c.path + ":--" + f.long
			if f.short != "" {
				pattern += "|" + c.path + ":-" + f.short
			}
			fmt.Fprintf(b, "    %s) %s ;;\n", pattern, assign(f.values, f.files, "offer=' '"))
		}
	}
	b.WriteString("  esac\n  if [ -z \"$offer$files\" ]; then\n    case $at:$cur in\n")
	for _, c := range commands {
		fmt.Fprintf(b, "      %s:-*) offer=%s ;;\n", c.path, quoteSh(strings.Join(c.flagWords(), " ")))
		fmt.Fprintf(b, "      %s:*) %s ;;\n", c.path, assign(append(c.subcommandWords(), c.values...), c.files, "offer=' '"))
	}
	b.WriteString("    esac\n  fi\n")
}

// assign sets what may come next: given words, files, or else nothing.
func assign(words []string, files bool, nothing string) string {
	switch {
	case len(words) > 0:
		return "offer=" + quoteSh(strings.Join(words, " "))
	case files:
		return "files=1"
	}
	return nothing
}

func writeBash(w io.Writer, commands []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, bashHead, valueFlags(commands), pathsPattern(commands))
	writeCases(&b, commands)
	b.WriteString(bashTail)
	_, err := io.WriteString(w, b.String())
	return err
}

const zshHead = `#compdef portcullis
# zsh completion of portcullis, made by "portcullis completion zsh"
_portcullis() {
  local cur=${words[CURRENT]} prev=${words[CURRENT-1]} at= i w
  local -a typed=("${words[@]}")
  local offer= files=
  case $cur in
    --*=*) prev=${cur%%%%=*}; cur=${cur#*=}; compset -P '*=' ;;
  esac
  for ((i = 2; i < CURRENT; i++)); do
    w=${typed[i]}
    case $w in
      %s) i=$((i + 1)); continue ;;
    esac
    case $at/$w in
      %s) at=$at/$w ;;
    esac
  done
`

const zshTail = `  if [ -n "$files" ]; then
    _files
  else
    compadd -- ${=offer}
  fi
}
if [ "$funcstack[1]" = _portcullis ]; then
  _portcullis "$@"
else
  compdef _portcullis portcullis
fi
`

func writeZsh(w io.Writer, commands []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, zshHead, valueFlags(commands), pathsPattern(commands))
	writeCases(&b, commands)
	b.WriteString(zshTail)
	_, err := io.WriteString(w, b.String())
	return err
}

const fishHead = `# fish completion of portcullis, made by "portcullis completion fish"
function __portcullis_at --description 'whether the cursor is in this command'
  set -l path
  set -l skip 0
  for w in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $w
      case %s
        set skip 1
        continue
    end
    switch "$path/$w"
      case %s
        set path "$path/$w"
    end
  end
  test "$path" = "$argv[1]"
end
complete -c portcullis -f
`

func writeFish(w io.Writer, commands []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, fishHead, strings.ReplaceAll(valueFlags(commands), "|", " "), strings.ReplaceAll(pathsPattern(commands), "|", " "))
	for _, c := range commands {
		at := fmt.Sprintf("complete -c portcullis -n '__portcullis_at \"%s\"'", c.path)
		for _, s := range c.subcommands {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", at, s[0], quoteSh(s[1]))
		}
		for _, v := range c.values {
			fmt.Fprintf(&b, "%s -a %s\n", at, v)
		}
		if c.files {
			fmt.Fprintf(&b, "%s -F\n", at)
		}
		for _, f := range c.flags {
			line := at + " -l " + f.long
			if f.short != "" {
				line += " -s " + f.short
			}
			switch {
			case f.files:
				line += " -r -F"
			case f.takes:
				line += " -x"
			}
			if len(f.values) > 0 {
				line += " -a " + quoteSh(strings.Join(f.values, " "))
			}
			fmt.Fprintf(&b, "%s -d %s\n", line, quoteSh(f.help))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

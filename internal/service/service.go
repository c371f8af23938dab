// Package service writes what has a service manager start tunesafe agent when
// its user logs in: a systemd user unit, or a launchd agent. It only makes text;
// who installs it is the command line.
package service

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
)

// Service is the agent of one home.
type Service struct {
	Program string // absolute
	Home    string // absolute
	Log     string // absolute; launchd's, as systemd has a journal
	Serves  bool   // it shows the drive: not the last in every queue
}

// The names of the files.
const (
	UnitName  = "tunesafe-agent.service"
	Label     = "org.tunesafe.agent"
	PlistName = Label + ".plist"
)

var unit = template.Must(template.New("").Funcs(template.FuncMap{"quote": quote, "path": path}).Parse(`# Written by tunesafe install; tunesafe uninstall removes it.
[Unit]
Description=Tunesafe: quiet backup of music
Documentation=man:tunesafe(1)

[Service]
Type=notify
ExecStart={{path .Program}} agent --foreground --home {{quote .Home}}
Restart=on-failure
RestartSec=60
WatchdogSec=300
TimeoutStartSec=infinity
TimeoutStopSec=60
{{- if .Serves}}
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
{{- else}}
Nice=19
IOSchedulingClass=idle
{{- end}}

[Install]
WantedBy=default.target
`))

// Unit is a systemd user unit, systemd.service(5).
func (s Service) Unit() string {
	var b bytes.Buffer
	if err := unit.Execute(&b, s); err != nil {
		panic(err) // the template and its data are ours
	}
	return b.String()
}

// quote makes one word of a command line, as systemd.service(5) reads it: "%" is
// for specifiers and "$" for variables.
func quote(word string) string { return path(strings.ReplaceAll(word, "$", "$$")) }

// path is quote for the program's name, in which no variables are looked for.
func path(name string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "\n", `\n`)
	return `"` + r.Replace(name) + `"`
}

// Plist is a launchd agent, launchd.plist(5).
func (s Service) Plist() string {
	var b strings.Builder
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by tunesafe install; tunesafe uninstall removes it. -->
<plist version="1.0">
<dict>
`)
	key := func(name, value string) { fmt.Fprintf(&b, "\t<key>%s</key>\n\t%s\n", name, value) }
	text := func(s string) string {
		var e bytes.Buffer
		_ = xml.EscapeText(&e, []byte(s)) // a buffer takes all
		return "<string>" + e.String() + "</string>"
	}
	var args strings.Builder
	for _, a := range []string{s.Program, "agent", "--foreground", "--home", s.Home} {
		args.WriteString("\n\t\t" + text(a))
	}
	key("Label", text(Label))
	key("ProgramArguments", "<array>"+args.String()+"\n\t</array>")
	key("RunAtLoad", "<true/>")
	key("KeepAlive", "<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>")
	key("ThrottleInterval", "<integer>60</integer>")
	key("ProcessType", text("Background"))
	key("LowPriorityIO", "<true/>")
	key("Nice", "<integer>10</integer>")
	key("StandardErrorPath", text(s.Log))
	b.WriteString("</dict>\n</plist>\n")
	return b.String()
}

// HomeInUnit is how the home is written in the unit: one of another home does not
// contain it.
func (s Service) HomeInUnit() string { return "--home " + quote(s.Home) + "\n" }

// HomeInPlist is how it is written in the plist.
func (s Service) HomeInPlist() string {
	_, rest, _ := strings.Cut(s.Plist(), "--home</string>\n")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

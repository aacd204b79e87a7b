package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A scene is a home in which the recordings of one scenario happen, one after the
// other, with nodes that run.
type scene struct {
	home
	where   string
	done    [][]string        // what has been run, as it is recorded
	outputs map[string]string // standard output of each
	values  map[string]string // what placeholders stand for
}

// TestRecordedNodes replays recordings in the order in which they were made: the
// nodes that one leaves run in the next.
func TestRecordedNodes(t *testing.T) {
	for file, least := range map[string]int64{
		"node": 120, "secure-channel": 70, "tcp-connection": 45, "tcp-outlet": 60, "tcp-inlet": 60,
		"relay": 40, "message": 70, "policy": 110, "configuration": 110, "project": 70, "authority": 15,
	} {
		all := recordings(t, file)
		var ran atomic.Int64
		t.Run(file, func(t *testing.T) {
			for scenario, cases := range scenarios(all) {
				t.Run(scenario, func(t *testing.T) {
					t.Parallel()
					ran.Add(playScenario(t, cases))
				})
			}
		})
		t.Logf("%s: %d of %d recordings are replayed", file, ran.Load(), len(all))
		if ran.Load() < least {
			t.Errorf("%d recordings of %s are replayed, want %d", ran.Load(), file, least)
		}
	}
}

// scenarios groups recordings by what stands before the slash of their names.
func scenarios(all []recording) map[string][]recording {
	m := make(map[string][]recording)
	for _, r := range all {
		name, _, _ := strings.Cut(r.Name, " / ")
		m[name] = append(m[name], r)
	}
	return m
}

func playScenario(t *testing.T, cases []recording) (ran int64) {
	where := t.TempDir()
	s := &scene{home: home{dir: filepath.Join(where, "home")}, where: where, outputs: map[string]string{}, values: map[string]string{}}
	t.Cleanup(func() { endNodes(t, s.dir) })
	for i, r := range cases {
		s.writeProjects(t)
		t.Run(fmt.Sprintf("%03d %s", i, r.Name), func(t *testing.T) {
			if why := r.cannot(); why != "" {
				t.Skip(why)
			}
			if !s.prepare(t, &r) {
				t.Skip("its setup cannot be run")
			}
			ran++
			s.play(t, &r)
		})
	}
	return ran
}

// writeProjects makes the project files of the recorder, once it is known where
// the authority is.
func (s *scene) writeProjects(t *testing.T) {
	t.Helper()
	history := strings.TrimSpace(s.outputs["identity show authority --full --encoding hex"])
	if s.values["<PORT>"] == "" || history == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(s.dir, "project.json")); err == nil {
		return
	}
	writeProjectFiles(t, s.dir, recordings(t, "project"), projectValues{s.values["<PORT>"], history})
}

// cannot says why a recording cannot be replayed.
func (r *recording) cannot() string {
	if why := decided[r.Name]; why != "" {
		return "differs: " + why
	}
	if strings.HasPrefix(r.Name, "unknown default /") {
		return "differs: the default stays as it was"
	}
	if strings.HasPrefix(r.Name, "files /") || strings.HasPrefix(r.Name, "tickets in files / enroll") {
		return "the recorder writes the files and serves them; in scripts"
	}
	if _, number := r.Exit.(float64); !number {
		return fmt.Sprintf("the recorder ended it: %v", r.Exit)
	}
	if len(r.Args) > 0 && strings.HasPrefix(r.Args[0], "(") {
		return "asks the HTTP server of a node; tested beside it"
	}
	if r.Terminal != "" {
		return "what people read is worded otherwise; questions have tests of their own"
	}
	if r.Seconds > 20 {
		return fmt.Sprintf("took %v s", r.Seconds)
	}
	for _, kind := range []string{r.Stdout.Parser, r.Stderr.Parser} {
		if kind == "unexpected argument" || kind == "unknown subcommand" {
			return ""
		}
	}
	return missing(r.Args)
}

// prepare runs what the recording's setup has and has not been run yet.
func (s *scene) prepare(t *testing.T, r *recording) bool {
	for name, bind := range r.Bind {
		s.bind(t, name, bind)
	}
	at := 0
	for _, args := range r.Setup {
		if i := slices.IndexFunc(s.done[min(at, len(s.done)):], func(d []string) bool { return slices.Equal(d, args) }); i >= 0 {
			at += i + 1
			continue
		}
		if strings.HasPrefix(args[0], "(") || missing(args) != "" || slices.Contains(args, "-f") || slices.Contains(args, "--foreground") {
			return false
		}
		cmd := s.command(s.fill(args), s.where)
		out, _ := cmd.Output() // some are recorded to fail
		s.note(args, string(out))
		at = len(s.done)
	}
	for name, bind := range r.Bind {
		s.bind(t, name, bind)
	}
	return true
}

// note remembers what has been run.
func (s *scene) note(args []string, out string) {
	s.done = append(s.done, args)
	s.outputs[strings.Join(args, " ")] = out
}

var kinds = map[string]*regexp.Regexp{
	"IDENTIFIER": regexp.MustCompile(`I[0-9a-f]{64}`), "HEX": regexp.MustCompile(`[0-9a-f]{65,}`),
	"HEX32": regexp.MustCompile(`[0-9a-f]{32}`), "NAME": regexp.MustCompile(`[a-z]+-[a-z]+`), "PORT": regexp.MustCompile(`[0-9]+$`),
}

// bind finds out what a placeholder stands for.
func (s *scene) bind(t *testing.T, name string, bind any) {
	if s.values[name] != "" {
		return
	}
	if bind == "a free port" {
		s.values[name] = onePort(t)
		return
	}
	of, _ := bind.(map[string]any)
	words, _ := of["of"].([]any)
	kind := placeholder.FindStringSubmatch(name)
	if kind == nil || kinds[kind[1]] == nil {
		return
	}
	out := s.outputs[strings.Trim(fmt.Sprint(words), "[]")]
	s.values[name] = kinds[kind[1]].FindString(out)
}

// fill puts values in the place of placeholders.
func (s *scene) fill(args []string) []string {
	args = slices.Clone(args)
	for i := range args {
		args[i] = s.filled(args[i])
	}
	return args
}

func (s *scene) filled(text string) string {
	text = strings.ReplaceAll(text, "<HOME>", s.dir)
	for name, value := range s.values {
		text = strings.ReplaceAll(text, name, value)
	}
	return text
}

func (s *scene) play(t *testing.T, r *recording) {
	cmd := s.command(s.fill(r.Args), s.where)
	for name, value := range r.Env {
		cmd.Env = append(cmd.Env, name+"="+s.filled(value))
	}
	if r.Stdin != nil {
		cmd.Stdin = strings.NewReader(s.filled(*r.Stdin))
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	stdout, stderr := output(t, cmd, false)
	late.Stop()
	s.note(r.Args, stdout)
	for _, e := range []*expected{&r.Stdout, &r.Stderr} {
		if e.text != nil {
			*e.text = s.filled(*e.text)
		}
		for _, line := range e.Lines {
			for i := range line {
				line[i] = s.filled(line[i])
			}
		}
		for _, words := range [][]string{e.Contains, e.Mentions} {
			for i := range words {
				words[i] = s.filled(words[i])
			}
		}
	}
	r.compare(t, cmd.ProcessState.ExitCode(), stdout, stderr)
}

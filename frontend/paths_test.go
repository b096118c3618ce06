package frontend

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// pathsCase is a Dockerfile and what it says: "container=context" words, sorted.
type pathsCase struct {
	name, dockerfile string
	opts             map[string]string
	want             string
}

var pathsCases = []pathsCase{
	{"a directory's content", "FROM python\nCOPY src/ /srv/app/", nil, "/srv/app=src"},
	{"without slashes it is the same", "FROM python\nCOPY src /srv/app", nil, "/srv/app=src"},
	{"a file keeps its name", "FROM python\nCOPY bin/main.py /srv/app/", nil, "/srv/app/main.py=bin/main.py"},
	{"a file gets a new name", "FROM python\nCOPY bin/main.py /srv/run.py", nil, "/srv/run.py=bin/main.py"},
	{"a file into a directory known from before", "FROM python\nWORKDIR /srv\nCOPY bin/main.py /srv", nil, "/srv/main.py=bin/main.py"},
	{"the whole context", "FROM python\nCOPY . /app", nil, "/app=."},
	{"the whole context, spelled otherwise", "FROM python\nCOPY ./ /app/", nil, "/app=."},
	{"a path out of the context", "FROM python\nCOPY ../src/ /app/", nil, "/app=src"},
	{"an absolute source", "FROM python\nCOPY /src/ /app/", nil, "/app=src"},
	{"the root", "FROM python\nCOPY rootfs/ /", nil, "/=rootfs"},
	{"JSON form", "FROM python\nCOPY [\"my src/\", \"/app dir/\"]", nil, "/app dir=my src"},
	{"flags", "FROM python\nCOPY --link --chown=1:1 --chmod=755 src/ /app/", nil, "/app=src"},
	{"ADD", "FROM python\nADD src/ /app/", nil, "/app=src"},

	{"a destination in the working directory", "FROM python\nWORKDIR /srv\nWORKDIR app\nCOPY src/ lib/", nil, "/srv/app/lib=src"},
	{"the working directory itself", "FROM python\nWORKDIR /srv\nCOPY main.py .", nil, "/srv/main.py=main.py"},
	{"the working directory is the base's", "FROM python\nCOPY src/ lib/\nWORKDIR sub\nCOPY src/ .", nil, ""},
	{"of nothing, it is the root", "FROM scratch\nCOPY src/ lib/", nil, "/lib=src"},
	{"an unknown working directory, then a known one", "FROM python\nWORKDIR $HOME/app\nCOPY a/ .\nWORKDIR /srv\nCOPY b/ .", nil, "/srv=b"},

	{"several sources", "FROM python\nCOPY lib/ setup.py bin/main.py /app/", nil, "/app=lib /app/main.py=bin/main.py /app/setup.py=setup.py"},
	{"files that a directory may have replaced", "FROM python\nCOPY setup.py lib/ /app/", nil, "/app=lib"},
	{"a directory over another", "FROM python\nCOPY a/ /app/\nCOPY b/ /app/", nil, "/app=b"},
	{"a directory within another", "FROM python\nCOPY . /app\nCOPY vendor/lib/ /app/lib/", nil, "/app=. /app/lib=vendor/lib"},
	{"what is the same needs no saying", "FROM python\nCOPY requirements.txt /app/\nCOPY . /app\nCOPY lib/ /app/lib/", nil, "/app=."},
	{"a later directory covers what is below", "FROM python\nCOPY docker/settings.py /app/settings.py\nCOPY . /app", nil, "/app=."},
	{"an earlier one does not", "FROM python\nCOPY . /app\nCOPY docker/settings.py /app/settings.py", nil, "/app=. /app/settings.py=docker/settings.py"},
	{"of no ending: likely a directory", "FROM python\nCOPY shop /app/", nil, "/app=shop"},
	{"of no ending, where a directory is known: no second one", "FROM python\nCOPY . /app/\nCOPY tools/entrypoint /app/", nil, "/app=. /app/entrypoint=tools/entrypoint"},
	{"two of no ending: the first", "FROM python\nCOPY shop tests /app/", nil, "/app=shop"},
	{"a number is no ending", "FROM python\nCOPY lib/python3.13 /usr/lib/python3.13/", nil, "/usr/lib/python3.13=lib/python3.13"},
	{"a name that starts with a dot has no ending", "FROM python\nCOPY .config /app/", nil, "/app=.config"},

	{"Python files of a directory", "FROM python\nCOPY src/*.py /app/", nil, "/app=src"},
	{"of the root", "FROM python\nWORKDIR /app\nCOPY *.py ./", nil, "/app=."},
	{"beside a known directory", "FROM python\nCOPY src/ /app/\nCOPY *.py /app/", nil, "/app=src"},
	{"patterns that say nothing", "FROM python\nCOPY * /a/\nCOPY requirements*.txt /b/\nCOPY services/*/main.py /c/\nCOPY src[12] /d/", nil, ""},

	{"--parents", "FROM python\nCOPY --parents src/shop tests/x.py /app/", nil, "/app/src/shop=src/shop /app/tests/x.py=tests/x.py"},
	{"--parents from a point", "FROM python\nCOPY --parents services/a/./lib /app/", nil, "/app/lib=services/a/lib"},
	{"--parents with a pattern", "FROM python\nCOPY --parents **/*.py /a/\nCOPY --parents src/**/*.py /b/\nCOPY --parents lib/./x/*.py /c/", nil, "/a=. /b/src=src /c/x=lib/x"},

	{"heredoc", "FROM python\nCOPY <<EOF /app/made.py\nx = 1\nEOF", nil, ""},
	{"heredoc over the context", "FROM python\nCOPY . /app\nCOPY <<made.py /app/\nx = 1\nmade.py", nil, "/app=. /app/made.py="},
	{"URLs, git and archives", "FROM python\nADD https://example.com/a.py /a/\nADD https://example.com/repo.git /b/\nADD git@example.com:x/y.git /c/\nADD src.tar.gz /d/", nil, ""},
	{"an archive that stays one", "FROM python\nADD --unpack=false src.tar.gz /d/", nil, "/d/src.tar.gz=src.tar.gz"},
	{"another image", "FROM python\nCOPY --from=node:20 /app /app\nCOPY --from=ghcr.io/astral-sh/uv /uv /bin/", nil, ""},
	{"another image over the context", "FROM python\nCOPY . /app\nCOPY --from=node /dist/ /app/static/", nil, "/app=. /app/static="},
	{"RUN is not followed", "FROM python\nCOPY src/ /src/\nRUN mv /src /app && pip install .", nil, "/src=src"},

	{"ENV", "FROM python\nENV HOME=/srv APP=$HOME/x\nENV APP=${HOME}/app\nCOPY src/ $APP/", nil, "/srv/app=src"},
	{"ENV of the base", "FROM python\nCOPY src/ $APP/\nCOPY $SRC /app/", nil, ""},
	{"ENV of the base within one", "FROM python\nENV APP=/srv\nENV APP=$BASE/app\nCOPY src/ $APP/", nil, ""},
	{"ARG's default", "FROM python\nARG DIR=/srv/app\nCOPY src/ $DIR", nil, "/srv/app=src"},
	{"build arg", "FROM python\nARG DIR=/srv/app\nCOPY src/ $DIR", map[string]string{"build-arg:DIR": "/opt"}, "/opt=src"},
	{"build arg that is not declared", "FROM python\nCOPY src/ /app$DIR", map[string]string{"build-arg:DIR": "/opt"}, ""},
	{"global ARG", "ARG ROOT=/srv\nARG DIR=$ROOT/app\nFROM python\nARG DIR\nCOPY src/ $DIR", nil, "/srv/app=src"},
	{"global ARG that the stage does not declare", "ARG DIR=/app\nFROM python\nCOPY src/ $DIR/x", nil, ""},
	{"modifiers", "FROM python\nARG A=/srv/app\nCOPY src/ ${A:-/x}/\nCOPY lib/ ${A#/srv}/lib/", nil, "/app/lib=lib /srv/app=src"},
	{"platform ARG", "FROM python\nARG TARGETARCH\nCOPY src-$TARGETARCH/ /app/", nil, ""},
	{"escape directive", "# escape=`\nFROM python\nCOPY src/ `\n  /app/", nil, "/app=src"},
	{"single quotes", "FROM python\nENV A='/srv'\nCOPY src/ \"$A/app\"", nil, "/srv/app=src"},

	{"a stage goes on", "FROM python AS base\nWORKDIR /srv\nENV D=lib\nCOPY a/ .\nFROM base\nCOPY b/ $D/", nil, "/srv=a /srv/lib=b"},
	{"stages apart", "FROM python AS one\nCOPY a/ /app/\nFROM python\nCOPY b/ /srv/", nil, "/srv=b"},
	{"a stage named by an ARG", "ARG BASE=one\nFROM python AS one\nCOPY a/ /app/\nFROM ${BASE}", nil, "/app=a"},
	{"of another platform", "FROM --platform=$BUILDPLATFORM python AS one\nCOPY a/ /app/\nFROM one", nil, "/app=a"},
	{"COPY --from", "FROM python AS build\nCOPY src/ /build/\nFROM python\nCOPY --from=build /build/shop /srv/shop", nil, "/srv/shop=src/shop"},
	{"COPY --from, by number", "FROM python\nCOPY src/ /build/\nFROM python\nCOPY --from=0 /build /srv", nil, "/srv=src"},
	{"COPY --from, in other letters", "FROM python AS Build\nCOPY src/ /build/\nFROM python\nCOPY --from=BUILD /build/ /srv/", nil, "/srv=src"},
	{"COPY --from above what is known", "FROM python AS build\nCOPY a/ /x/a/\nCOPY b/ /x/b/\nFROM python\nCOPY --from=build /x /y", nil, "/y/a=a /y/b=b"},
	{"COPY --from, the whole root", "FROM python AS build\nCOPY src/ /app/\nFROM scratch\nCOPY --from=build / /", nil, "/app=src"},
	{"COPY --from, through two stages", "FROM python AS a\nCOPY . /a\nFROM python AS b\nCOPY --from=a /a/lib /b\nFROM python\nCOPY --from=b /b/x.py /c/", nil, "/c/x.py=lib/x.py"},
	{"COPY --from, a known directory of no slash", "FROM python AS build\nWORKDIR /build\nCOPY . .\nFROM python\nCOPY x/ /srv/\nCOPY --from=build /build /srv/", nil, "/srv=."},
	{"COPY --from, what a RUN made", "FROM python AS build\nRUN make\nFROM python\nCOPY --from=build /venv /venv", nil, ""},
	{"a made venv in the context's place", "FROM python AS build\nWORKDIR /app\nRUN uv sync\nFROM python\nCOPY . /app\nCOPY --from=build /app/.venv /app/.venv", nil, "/app=. /app/.venv="},
	{"a stage's heredoc", "FROM python AS build\nCOPY . /app\nCOPY <<EOF /app/v.py\nEOF\nFROM python\nCOPY --from=build /app /srv", nil, "/srv=. /srv/v.py="},
	{"a later stage of the same name is not the source", "FROM python\nCOPY --from=late /x /y\nFROM python AS late\nCOPY a/ /x/", map[string]string{"target": "0"}, ""},

	{"target", "FROM python AS dev\nCOPY a/ /app/\nFROM python\nCOPY b/ /app/", map[string]string{"target": "dev"}, "/app=a"},
	{"target in other letters", "FROM python AS Dev\nCOPY a/ /app/\nFROM python\nCOPY b/ /app/", map[string]string{"target": "DEV"}, "/app=a"},
	{"target missing", "FROM python\nCOPY b/ /app/", map[string]string{"target": "nope"}, ""},
	{"named context for a stage", "FROM python AS build\nCOPY a/ /a/\nFROM python\nCOPY --from=build /a /b\nCOPY c/ /c/", map[string]string{"context:build": "docker-image://x"}, "/c=c"},
	{"named context for a base", "FROM python AS build\nCOPY a/ /a/\nFROM build", map[string]string{"context:build::linux/amd64": "local:x"}, ""},
	{"ONBUILD is for others", "FROM python\nONBUILD COPY . /app", nil, ""},

	{"the context's folder", "FROM python\nWORKDIR /srv\nCOPY . .\nCOPY lib/ /lib/", map[string]string{"vcs:localdir:context": "services/a"}, "/lib=services/a/lib /srv=services/a"},
	{"the context is the repository", "FROM python\nCOPY . /srv", map[string]string{"vcs:localdir:context": "."}, "/srv=."},
	{"the context by another name", "FROM python\nCOPY . /srv", map[string]string{"contextkey": "ctx", "vcs:localdir:ctx": "a", "vcs:localdir:context": "b"}, "/srv=a"},
	{"git context", "FROM python\nCOPY . /srv", map[string]string{"context": "https://example.com/repo.git#main:services/a"}, "/srv=services/a"},
	{"git context without a folder", "FROM python\nCOPY . /srv", map[string]string{"context": "https://example.com/repo.git", "contextsubdir": "sub"}, "/srv=sub"},
	{"http context", "FROM python\nCOPY . /srv", map[string]string{"context": "https://example.com/src.tar.gz", "vcs:localdir:context": "x"}, "/srv=."},

	{"CRLF", "FROM python\r\nCOPY src/ /app/\r\n", nil, "/app=src"},
	{"not a Dockerfile", "target: x\n", nil, ""},
	{"nothing", "", nil, ""},
	{"an instruction of the future", "FROM python\nCOPY a/ /a/\nCOPIES b/ /b/", nil, ""},
	{"a bad substitution", "FROM python\nCOPY a/ /a/\nCOPY b/ ${B:}/", nil, "/a=a"},
}

func TestDockerfilePaths(t *testing.T) {
	for _, c := range pathsCases {
		t.Run(c.name, func(t *testing.T) {
			if got := spellPaths(dockerfilePaths([]byte(c.dockerfile), c.opts)); got != c.want {
				t.Errorf("got  %q\nwant %q of\n%s", got, c.want, c.dockerfile)
			}
		})
	}
}

func spellPaths(paths map[string]string) string {
	var words []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		words = append(words, fmt.Sprintf("%s=%s", p, paths[p]))
	}
	return strings.Join(words, " ")
}

// FuzzDockerfilePaths: no Dockerfile stops a build here, and every path is what is promised.
func FuzzDockerfilePaths(f *testing.F) {
	for _, c := range pathsCases {
		f.Add(c.dockerfile)
	}
	f.Fuzz(func(t *testing.T, dockerfile string) {
		for p, origin := range dockerfilePaths([]byte(dockerfile), nil) {
			if rooted(p) != p || origin != "" && (origin != "." && rootless(origin) != origin) {
				t.Errorf("%q is from %q", p, origin)
			}
		}
	})
}

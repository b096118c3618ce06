package covdata

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// notSource are directories that hold copies of source or none: a file found there is not the checkout's.
var notSource = map[string]bool{
	".git": true, ".hg": true, ".svn": true, ".covify": true, "node_modules": true, "__pycache__": true,
	".tox": true, ".nox": true, ".eggs": true, ".mypy_cache": true, ".pytest_cache": true, ".ruff_cache": true,
	"site-packages": true, "dist-packages": true, "htmlcov": true,
}

// checkoutFiles lists the files of the checkout at root, relative to it: what git tracks or would track, or, where
// git does not answer, what a walk finds outside of virtual environments, caches and build directories.
func checkoutFiles(ctx context.Context, root string) ([]string, error) {
	tracked, err := gitFiles(ctx, root, "--cached", "--recurse-submodules")
	if err == nil {
		fresh, err := gitFiles(ctx, root, "--others", "--exclude-standard")
		if err == nil {
			return append(tracked, fresh...), nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return walkFiles(root)
}

func gitFiles(ctx context.Context, root string, flags ...string) ([]string, error) {
	argv := append([]string{"-C", root, "ls-files", "-z"}, flags...)
	out, err := exec.CommandContext(ctx, "git", argv...).Output()
	if err != nil {
		return nil, err
	}
	files := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	return files, nil
}

func walkFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == root:
			return err
		case err != nil:
			return fs.SkipDir // an unreadable directory has no file that a report could read
		case entry.IsDir() && path != root && skipDirectory(path, entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}

func skipDirectory(path, name string) bool {
	if notSource[name] {
		return true
	}
	if filepath.Base(filepath.Dir(path)) == "build" && (strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "bdist")) {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

package imagepatch

import (
	"io/fs"
	"path"
	"time"

	"github.com/covify/covify/plan"
)

// planFile describes a Plan's file to archive/tar.
type planFile struct{ f plan.File }

func (p planFile) Name() string       { return path.Base(p.f.Path) }
func (p planFile) Size() int64        { return int64(len(p.f.Data)) }
func (p planFile) Mode() fs.FileMode  { return p.f.Mode }
func (p planFile) ModTime() time.Time { return plan.Epoch }
func (p planFile) IsDir() bool        { return p.f.Mode.IsDir() }
func (p planFile) Sys() any           { return nil }

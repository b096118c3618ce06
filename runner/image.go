package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner/rcfile"
)

// Image is what covify run needs to know of an image in the engine.
type Image struct {
	ID         string `json:"-"` // the engine's digest of it
	Labels     map[string]string
	Entrypoint []string
	Cmd        []string
}

// Image asks the engine about an image of its own. [ErrNotThere] says that it has none of that name, or none
// for that platform ("" for any).
func (e Engine) Image(ctx context.Context, name, platform string) (Image, error) {
	query := url.Values{}
	if parts := strings.SplitN(platform, "/", 3); len(parts) > 1 {
		want := map[string]string{"os": parts[0], "architecture": parts[1]}
		if len(parts) == 3 {
			want["variant"] = parts[2]
		}
		text, err := json.Marshal(want)
		if err != nil {
			return Image{}, err
		}
		query.Set("platform", string(text)) // an API below 1.49 ignores it
	}
	var answer struct {
		ID     string
		Config Image
	}
	err := e.inspect(ctx, "image", name, query, &answer)
	answer.Config.ID = answer.ID
	return answer.Config, err
}

// Variant reports whether covify made the image.
func (i Image) Variant() bool { return i.Labels[plan.LabelVersion] != "" }

// dataDir is the data directory in the image's containers.
func (i Image) dataDir() string {
	if dir := i.Labels[plan.LabelData]; dir != "" {
		return dir
	}
	return plan.DataDir
}

// coverage is what the image's labels say about its coverage.
func (i Image) coverage() (rcfile.Image, error) {
	var out rcfile.Image
	if text := i.Labels[plan.LabelSource]; text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			return out, fmt.Errorf("reading label %s: %w", plan.LabelSource, err)
		}
	}
	out.Coverage = nil
	if text := i.Labels[plan.LabelCoverage]; text != "" {
		out.Coverage = strings.Split(text, ",")
	}
	return out, nil
}

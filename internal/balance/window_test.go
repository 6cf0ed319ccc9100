package balance

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestPeaksAgreeWithLookingAtEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		values := rapid.SliceOfN(rapid.Float32Range(0, 9), 1, 60).Draw(t, "values")
		var p peaks
		for i, v := range values {
			p.push(int64(i), float64(v), limit)
		}
		last := len(values) - 1
		for n := 1; n <= limit; n++ {
			want := float32(0)
			for i := max(0, last-n+1); i <= last; i++ {
				want = max(want, values[i])
			}
			if got := p.max(int64(last), n); got != float64(want) {
				t.Fatalf("max of %d = %v, want %v", n, got, want)
			}
		}
		var back peaks
		text, err := json.Marshal(p)
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || !reflect.DeepEqual(p, back) {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
	})
}

func TestPeaksRefuseWhatIsOutOfOrder(t *testing.T) {
	for _, text := range []string{
		`{"newest":9,"pairs":"AAAAAAAAgD8AAAAAAACAPw=="}`, // the same beat twice
		`{"newest":9,"pairs":"AAAAAA=="}`,                 // half a pair
		`{"newest":9,"pairs":"AAAAAAAAgL8="}`,             // a value of -1
		`{"newest":9,"pairs":"?"}`,
		`{"newest":"x"}`,
	} {
		var p peaks
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s was taken as %+v", text, p)
		}
	}
}

func TestSeriesForgetsTheOldest(t *testing.T) {
	var s series
	for v := range 5 {
		s = s.push(float64(v), 3)
	}
	if !reflect.DeepEqual(s, series{2, 3, 4}) {
		t.Errorf("kept %v, want the newest three", s)
	}
	if v, ok := s.ago(2); v != 2 || !ok {
		t.Errorf("ago(2) = %v, %v", v, ok)
	}
	if _, ok := s.ago(3); ok {
		t.Error("there is no value three beats ago")
	}
}

package main

// eachPage does something with every row that fetch gives page by page; limit 0
// = all. fetch is told how many rows it may give, and the last row of the page
// before, nil for the first.
func eachPage[T any](limit int, do func(T) error, fetch func(n int, after *T) ([]T, error)) error {
	const page = 1000
	var after *T
	for left := limit; limit == 0 || left > 0; {
		n := page
		if limit > 0 {
			n = min(page, left)
		}
		rows, err := fetch(n, after)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := do(r); err != nil {
				return err
			}
		}
		if len(rows) < n {
			return nil
		}
		left -= len(rows)
		after = &rows[len(rows)-1]
	}
	return nil
}

-- The whole search engine's data. A URL is known from the moment the page that
-- links to it is stored, in the same transaction; queued_at is set once the
-- queue has acknowledged it. What has none is put on the queue again, so that a
-- crash between the two loses nothing.

CREATE TABLE urls (
    url       text PRIMARY KEY,
    found_at  timestamptz NOT NULL DEFAULT now(),
    queued_at timestamptz
);

CREATE INDEX urls_unqueued ON urls (found_at) WHERE queued_at IS NULL;

CREATE TABLE pages (
    url       text PRIMARY KEY,
    status    integer NOT NULL, -- of HTTP; 0 if the page never answered
    title     text NOT NULL,
    body      text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    -- A tsvector holds at most 1 MiB; 200,000 characters stay below that.
    words     tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', left(title, 1000)), 'A') ||
        to_tsvector('english', left(body, 200000))
    ) STORED
);

CREATE INDEX pages_words ON pages USING gin (words);

CREATE TABLE links (
    from_url text NOT NULL,
    to_url   text NOT NULL,
    PRIMARY KEY (from_url, to_url)
);

-- Trust anchors of every kind, and signatures over more than manifests.

-- +goose Up

-- What the anchor holds, in the form of its kind. Key ids are those of public keys, empty otherwise.
ALTER TABLE trust_anchors RENAME COLUMN public_key_pem TO material;
ALTER TABLE trust_anchors ADD COLUMN kind TEXT NOT NULL DEFAULT 'PUBLIC_KEY';
ALTER TABLE trust_anchors ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE trust_anchors ADD COLUMN compromised BIGINT NOT NULL DEFAULT 0;
ALTER TABLE trust_anchors ADD COLUMN unsafe TEXT NOT NULL DEFAULT '{}';

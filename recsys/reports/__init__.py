"""Pictures and pages for people: figures of data, training and evaluation."""

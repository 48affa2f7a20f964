"""Anyone's log of events becomes atomic files: read any table, cut sessions, choose feature kinds, write, report.

    tables  ->  events (times, sessions)  ->  items (kinds, values, text)  ->  writing

The formats of public data sets (`diginetica`, `retailrocket`, `yoochoose`, `movielens`) only name files and columns on
top of the same step, `gru4recf.imports.step.import_log`.
"""

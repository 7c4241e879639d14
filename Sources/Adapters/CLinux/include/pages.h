#ifndef GENIE_PAGES_H
#define GENIE_PAGES_H

/*
 * Gives back the pages of programs and libraries that are mapped from their
 * files and never written to: what is needed again is read from the page
 * cache. Starting touches far more of them than running does.
 */
void genie_pages_release_clean(void);

#endif

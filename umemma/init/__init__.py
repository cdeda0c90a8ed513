"""What `umemma init` is made of: a look at a table and its media, guesses, and the file in conf/dataset/ from them."""

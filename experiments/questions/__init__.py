"""Questions of any source as one typed record: named datasets, files and folders, the hub, the organisms' world.

``fields`` turns a row into a question, ``rows`` reads rows, ``datasets`` holds the known schemas as data, and ``pool``
puts them together. Nothing is imported here, for the config is made of ``fields`` and ``pool`` is made of the config.
"""
